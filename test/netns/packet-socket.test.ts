import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Ip } from "../../src/base/ip.ts";
import { type LinkEvent, openLinkSocket, watchLinkSocket } from "../../src/linux/link-watch.ts";
import { inlineNetClient } from "../../src/linux/net-client.ts";
import { ifIndexOf, withKernel } from "../../src/linux/net-jobs.ts";
import { inNetns } from "../../src/linux/netns.ts";
import {
  attachFilter,
  type BpfInstruction,
  bindPacketSocket,
  ETH_P_ALL,
  openPacketSocket,
  receiveFrame,
  sendFrame,
} from "../../src/linux/packet-socket.ts";
import { pollReadable } from "../../src/linux/poll.ts";
import { connect, eventually, requires, type TestPod, testPod } from "../support/netns.ts";

const needs = requires("root", "ip");
/** An EtherType for experiments (IEEE 802.1): nobody else speaks it. */
const LOCAL_EXPERIMENT = 0x88b5;
/** Accepts LOCAL_EXPERIMENT frames whose first payload byte is 0x2a: `ldh [12]; jeq; ldb [14]; jeq; ret`. */
const ONLY_42: readonly BpfInstruction[] = [
  { code: 0x28, jt: 0, jf: 0, k: 12 },
  { code: 0x15, jt: 0, jf: 3, k: LOCAL_EXPERIMENT },
  { code: 0x30, jt: 0, jf: 0, k: 14 },
  { code: 0x15, jt: 0, jf: 1, k: 0x2a },
  { code: 0x06, jt: 0, jf: 0, k: 0xffff },
  { code: 0x06, jt: 0, jf: 0, k: 0 },
];

test("frames arrive at a bound socket, filtered, and only there", needs, async (t) => {
  const { pod, node } = cabled(t);
  const receiver = socketOn(t, pod, "eth0", ONLY_42);
  const sender = socketOn(t, node, "veth0");
  const seen: number[][] = [];
  const polling = pollReadable(receiver, () => {
    for (let f = receiveFrame(receiver); f !== undefined; f = receiveFrame(receiver)) {
      seen.push([...f.subarray(14, 17)]);
    }
  });
  t.after(() => polling.close());
  sendFrame(sender, frame(0x01, 1));
  sendFrame(sender, frame(0x2a, 2));
  sendFrame(sender, frame(0x2a, 3));
  await eventually("two frames", () => seen.length >= 2);
  assert.deepEqual(seen, [
    [0x2a, 2, 0],
    [0x2a, 3, 0],
  ]);
});

test("an unbound packet socket hears nothing", needs, (t) => {
  const { pod, node } = cabled(t);
  const deaf = openPacketSocket(pod.path);
  t.after(() => closeSync(deaf));
  const sender = socketOn(t, node, "veth0");
  sendFrame(sender, frame(0x2a, 1));
  assert.equal(receiveFrame(deaf), undefined);
});

test("polling survives its link going down", needs, async (t) => {
  const { pod, node } = cabled(t);
  const receiver = socketOn(t, pod, "eth0", ONLY_42);
  const sender = socketOn(t, node, "veth0");
  const errnos: number[] = [];
  let frames = 0;
  const polling = pollReadable(receiver, (errno) => {
    errnos.push(errno);
    while (receiveFrame(receiver) !== undefined) frames += 1;
  });
  t.after(() => polling.close());
  pod.run("ip", "link", "set", "eth0", "down");
  await eventually("ENETDOWN", () => errnos.includes(100));
  pod.run("ip", "link", "set", "eth0", "up");
  await eventually("a frame after the link is up again", () => {
    sendFrame(sender, frame(0x2a, 1));
    return frames > 0;
  });
});

test("a filter that the kernel refuses is an error", needs, (t) => {
  const pod = testPod(t);
  const fd = openPacketSocket(pod.path);
  t.after(() => closeSync(fd));
  assert.throws(() => attachFilter(fd, [{ code: 0x28, jt: 0, jf: 0, k: 12 }]), { code: "PT-KERNEL-22" });
});

test("a link's index is found in its namespace", needs, (t) => {
  const { pod } = cabled(t);
  const listed = withKernel(pod.path, (kernel) => kernel.readLinks());
  assert.equal(ifIndexOf(pod.path, "eth0"), listed.find(({ name }) => name === "eth0")?.index);
  assert.throws(() => ifIndexOf(pod.path, "nowhere"), { code: "PT-KERNEL-19" });
});

test("TCP leaves from the pod's network", needs, async (t) => {
  const { pod, node } = cabled(t);
  const server = createServer((peer) => peer.end(`you are ${peer.remoteAddress}`));
  t.after(() => server.close());
  await new Promise<void>((resolve) => {
    inNetns(node.path, () => server.listen(8080, resolve));
  });
  const net = inlineNetClient();
  for (const [ip, mine] of [
    ["10.9.0.1", "::ffff:10.9.0.2"],
    ["fd00:9::1", "fd00:9::2"],
  ] as const) {
    const stream = new Socket({ fd: await net.connectTcp(pod.path, ip as Ip, 8080) });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), `you are ${mine}`);
  }
  await assert.rejects(net.connectTcp(pod.path, "10.9.0.1" as Ip, 8081), { code: "PT-KERNEL-111" });
  await assert.rejects(net.connectTcp(pod.path, "192.0.2.1" as Ip, 80), { code: "PT-KERNEL-101" });
});

test("changes of links are announced", needs, async (t) => {
  const { pod } = cabled(t);
  const fd = openLinkSocket(pod.path);
  const events: LinkEvent[] = [];
  const polling = watchLinkSocket(fd, (event) => events.push(event));
  t.after(() => {
    polling.close();
    closeSync(fd);
  });
  pod.run("ip", "link", "set", "eth0", "mtu", "1400");
  await eventually("the new MTU", () =>
    events.some((event) => event.type === "changed" && event.link.name === "eth0" && event.link.mtu === 1400),
  );
  pod.run("ip", "link", "delete", "eth0");
  await eventually("the deletion", () =>
    events.some((event) => event.type === "deleted" && event.link.name === "eth0"),
  );
});

test("lost announcements are told as such, and later ones still come", needs, async (t) => {
  const { pod } = cabled(t);
  const fd = openLinkSocket(pod.path);
  const events: LinkEvent[] = [];
  const polling = watchLinkSocket(fd, (event) => events.push(event));
  t.after(() => {
    polling.close();
    closeSync(fd);
  });
  // Synchronous: the event loop has no chance to read, and the socket overflows.
  withKernel(pod.path, (kernel) => {
    for (let mtu = 600; mtu < 1400; mtu++) {
      kernel.run({ op: "link.set", name: "eth0", changes: { mtu } });
    }
  });
  await eventually("the loss", () => events.some(({ type }) => type === "lost"));
  pod.run("ip", "link", "set", "eth0", "mtu", "577");
  await eventually("a later change", () =>
    events.some((event) => event.type === "changed" && event.link.mtu === 577),
  );
});

function cabled(t: TestContext): { pod: TestPod; node: TestPod } {
  const [pod, node] = [testPod(t), testPod(t, "node")];
  connect({
    pod,
    link: "eth0",
    addresses: ["10.9.0.2/24", "fd00:9::2/64"],
    peer: node,
    peerLink: "veth0",
    peerAddresses: ["10.9.0.1/24", "fd00:9::1/64"],
  });
  return { pod, node };
}

function socketOn(t: TestContext, pod: TestPod, link: string, filter?: readonly BpfInstruction[]): number {
  const fd = openPacketSocket(pod.path);
  t.after(() => closeSync(fd));
  if (filter !== undefined) attachFilter(fd, filter);
  bindPacketSocket(fd, ifIndexOf(pod.path, link), ETH_P_ALL);
  return fd;
}

function frame(first: number, second: number): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.fill(0xff, 0, 6);
  bytes.set([0x02, 0, 0, 0, 0, 0x99, LOCAL_EXPERIMENT >> 8, LOCAL_EXPERIMENT & 0xff, first, second], 6);
  return bytes;
}
