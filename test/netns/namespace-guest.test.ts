/** The namespace guest itself: joined to a real tap as uid 107, with the given MAC, fast, and gone after stop(). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type NamespaceGuestSpec, startNamespaceGuest, udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires, type TestPod, testPod } from "../support/netns.ts";

const MAC = "02:12:34:56:78:9a";

/** A pod with a bridge 10.77.0.1/24 and a tap in it that belongs to uid 107. */
function bridgedPod(t: TestContext, ...tapFlags: readonly string[]): TestPod {
  const pod = testPod(t, "ng");
  pod.run("ip", "link", "add", "br0", "type", "bridge");
  pod.run("ip", "address", "add", "10.77.0.1/24", "dev", "br0");
  pod.run("ip", "tuntap", "add", "tap0", "mode", "tap", "user", "107", ...tapFlags);
  pod.run("ip", "link", "set", "tap0", "master", "br0");
  for (const link of ["br0", "tap0"]) pod.run("ip", "link", "set", link, "up");
  return pod;
}

async function guestOn(t: TestContext, pod: TestPod, more: Partial<NamespaceGuestSpec> = {}) {
  const guest = await startNamespaceGuest({ podNetns: pod.path, tap: "tap0", mac: MAC, ...more });
  t.after(() => guest.stop());
  return guest;
}

/** Busybox's DHCP server on the pod's bridge. */
function serveDhcp(t: TestContext, pod: TestPod): void {
  const folder = mkdtempSync(join(tmpdir(), "pt-udhcpd-"));
  const options = ["subnet 255.255.255.0", "router 10.77.0.1", "dns 10.77.0.1", "search lab.test"];
  const config = [
    ...["interface br0", "start 10.77.0.50", "end 10.77.0.50", "max_leases 1"],
    ...[`lease_file ${folder}/leases`, `pidfile ${folder}/pid`],
    ...options.map((option) => `opt ${option}`),
  ];
  writeFileSync(join(folder, "leases"), "");
  writeFileSync(join(folder, "config"), `${config.join("\n")}\n`);
  const server = spawn("ip", ["netns", "exec", pod.name, "busybox", "udhcpd", "-f", join(folder, "config")], {
    stdio: "ignore",
  });
  t.after(() => {
    server.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });
}

/** Of the pod's tap: `tx` is what goes to the guest. */
function tapCounters(pod: TestPod, side: "rx" | "tx"): { readonly bytes: number; readonly packets: number } {
  const [link] = JSON.parse(pod.run("ip", "-s", "-j", "link", "show", "dev", "tap0"));
  return link.stats64[side];
}

const needs = requires("root", "ip", "tap");

test(
  "a namespace guest has the MAC and MTU it was given and reaches the pod, as uid 107",
  needs,
  async (t) => {
    const pod = bridgedPod(t);
    const guest = await guestOn(t, pod, { mtu: 1400 });
    await guest.read("ip", "address", "add", "10.77.0.2/24", "dev", guest.nic);
    assert.match(await guest.read("ip", "link", "show", guest.nic), new RegExp(`mtu 1400 .*${MAC}`, "s"));
    await guest.read("busybox", "ping", "-c1", "-W2", "10.77.0.1");
    assert.match(pod.run("ip", "neigh", "show", "10.77.0.2"), new RegExp(MAC));
    assert.match(await guest.read("ps", "-o", "uid=", "-p", String(guest.relayPid)), /^\s*107\s*$/);
  },
);

test("a namespace guest is refused a tap of another user", needs, async (t) => {
  const pod = bridgedPod(t);
  await assert.rejects(guestOn(t, pod, { uid: 108 }), /attach tap0: Operation not permitted/);
  const left = readdirSync("/run/netns").filter((name) => name.startsWith(`pt-guest-${process.pid}-`));
  assert.deepEqual(left, [], "a guest that could not start leaves no namespace");
});

test("a namespace guest moves data at native speed, both ways and over two queues", needs, async (t) => {
  const pod = bridgedPod(t, "multi_queue");
  const guest = await guestOn(t, pod, { queues: 2 });
  await guest.read("ip", "address", "add", "10.77.0.2/24", "dev", guest.nic);
  guest.start("iperf3", ["-s"]);
  for (const [words, flags, side] of [
    ["to the guest", [], "tx"],
    ["from the guest", ["-R"], "rx"],
  ] as const) {
    const before = tapCounters(pod, side);
    const report = await eventually("iperf3", () =>
      pod.run("iperf3", "-c", "10.77.0.2", "-t", "1", "-J", ...flags),
    );
    const after = tapCounters(pod, side);
    const gigabits = JSON.parse(report).end.sum_received.bits_per_second / 1e9;
    t.diagnostic(`${words}: ${gigabits.toFixed(1)} Gb/s`);
    // Speed depends on the machine's other work; what makes it does not: segments cross whole, not cut to the MTU.
    const frame = (after.bytes - before.bytes) / (after.packets - before.packets);
    assert.ok(frame > 4000, `${words} frames have ${frame.toFixed(0)} bytes`);
  }
});

test(
  "a real DHCP client in a namespace guest applies its lease and leaves the host's resolver alone",
  needs,
  async (t) => {
    const pod = bridgedPod(t);
    const guest = await guestOn(t, pod);
    serveDhcp(t, pod);
    const lease = await udhcpc(guest, ["-x", "hostname:vm1"]);
    assert.equal(lease?.["ip"], "10.77.0.50");
    assert.equal(lease?.["router"], "10.77.0.1");
    assert.match(await guest.read("ip", "route"), /default via 10\.77\.0\.1/);
    assert.equal(guest.resolvConf(), "search lab.test\nnameserver 10.77.0.1\n");
  },
);

test("stopping a namespace guest ends its programs and leaves nothing", needs, async (t) => {
  const pod = bridgedPod(t);
  const guest = await startNamespaceGuest({ podNetns: pod.name, tap: "tap0", mac: MAC });
  // A daemon leaves the process group of whoever started it.
  await guest.exec("setsid", ["-f", "sleep", "1000"]);
  await guest.stop();
  assert.ok(!existsSync(`/run/netns/${guest.netns}`));
  assert.ok(!existsSync(`/etc/netns/${guest.netns}`));
  assert.ok(!existsSync(`/proc/${guest.relayPid}`));
  // Free again for QEMU or another guest.
  const next = await guestOn(t, pod);
  assert.notEqual(next.netns, guest.netns);
});
