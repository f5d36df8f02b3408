import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.ts";
import { type Cidr, eui64, type Ip } from "../../src/base/ip.ts";
import { type Mac, macToBytes } from "../../src/base/mac.ts";
import { EBUSY, KernelError } from "../../src/linux/errno.ts";
import { hostFeatures, probeFeatures } from "../../src/linux/features.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import { readLinks, setLink } from "../../src/linux/links.ts";
import { inNetns } from "../../src/linux/netns.ts";
import { openRtnetlink, type Rtnetlink } from "../../src/linux/rtnetlink.ts";
import type { NftTable } from "../../src/nft/model.ts";
import { RTM_SETLINK } from "../../src/wire/netlink-link.ts";
import { kernelContract, POD_NIC } from "../contract/kernel.contract.ts";
import { connect, eventually, requires, type TestPod, testPod } from "../support/netns.ts";

const needs = requires("root", "ip", "nft", "tap");

kernelContract({
  label: "real kernel",
  ...needs,
  features: hostFeatures(),
  open: (t) => {
    const { kernel, pod } = open(t);
    cable(t, pod);
    return kernel;
  },
});

test("taps attach for their owner only, with virtio headers", needs, (t) => {
  const { kernel, pod } = open(t);
  kernel.run({ op: "tap.add", name: "tap0", uid: 107, multiQueue: true, mtu: 1500 });
  const details = pod.run("ip", "-d", "link", "show", "tap0");
  assert.match(details, /tun type tap pi off vnet_hdr on multi_queue .* user (107|\w+) group/);
  assert.match(details, /persist on/);
});

test("a bridge keeps its MTU when a smaller port joins, and does not snoop", needs, (t) => {
  const { kernel, pod } = open(t);
  kernel.run({ op: "bridge.add", name: "br0", mtu: 1450 });
  kernel.run({ op: "tap.add", name: "tap0", uid: 107, multiQueue: false, mtu: 1300 });
  kernel.run({ op: "link.set", name: "tap0", changes: { master: "br0", up: true } });
  assert.equal(kernel.readLinks().find(({ name }) => name === "br0")?.mtu, 1450);
  assert.match(pod.run("ip", "-d", "link", "show", "br0"), /mcast_snooping 0/);
});

test("an IPv6 address on a bridge without carrier is usable at once", needs, (t) => {
  const { kernel, pod } = open(t);
  kernel.run({ op: "bridge.add", name: "br0", mtu: 1500 });
  kernel.run({ op: "link.set", name: "br0", changes: { up: true } });
  kernel.run({ op: "address.add", link: "br0", address: "fd10:0:2::1/120" as Cidr });
  const shown = pod.run("ip", "-6", "address", "show", "dev", "br0");
  assert.match(shown, /fd10:0:2::1\/120 scope global nodad/);
  assert.doesNotMatch(shown, /fd10.*tentative/);
});

test("an IPv6 address where IPv6 is off says so", needs, (t) => {
  const { kernel } = open(t);
  kernel.run({ op: "bridge.add", name: "br0", mtu: 1500 });
  kernel.run({ op: "sysctl.set", key: "net/ipv6/conf/br0/disable_ipv6", value: "1" });
  assert.throws(
    () => kernel.run({ op: "address.add", link: "br0", address: "fd10:0:2::1/120" as Cidr }),
    (thrown: unknown) => /cannot add fd10:0:2::1\/120 to br0: .*EACCES/.test(messageOf(thrown)),
  );
});

test("multipath routes are listed once a hop, foreign tables not", needs, (t) => {
  const { kernel, pod } = open(t);
  cable(t, pod);
  const hops = ["nexthop", "via", "10.244.0.2", "nexthop", "via", "10.244.0.3"] as const;
  pod.run("ip", "route", "add", "192.0.2.0/24", "metric", "77", ...hops);
  pod.run("ip", "route", "add", "198.51.100.0/24", "via", "10.244.0.2", "table", "100");
  pod.run("ip", "route", "add", "unreachable", "203.0.113.0/24");
  pod.run("ip", "route", "add", "192.0.3.0/24", "via", "inet6", "fd00:10:244::9", "dev", "eth0");
  const routes = kernel.readRoutes();
  const to = (destination: string) => routes.filter((route) => route.destination === destination);
  const told = [
    { gateway: "10.244.0.2", link: "eth0", weight: 1 },
    { gateway: "10.244.0.3", link: "eth0", weight: 1 },
  ];
  assert.deepEqual(to("192.0.2.0/24"), [
    { destination: "192.0.2.0/24", gateway: "10.244.0.2", link: "eth0", metric: 77, hops: told },
    { destination: "192.0.2.0/24", gateway: "10.244.0.3", link: "eth0", metric: 77, hops: told },
  ]);
  assert.deepEqual(to("198.51.100.0/24"), []);
  assert.deepEqual(to("203.0.113.0/24"), []);
  assert.equal(to("192.0.3.0/24")[0]?.gateway, "fd00:10:244::9");
});

test("more links and addresses than fit a datagram are listed whole", needs, (t) => {
  const { kernel } = open(t);
  for (let i = 0; i < 60; i++) {
    kernel.run({ op: "bridge.add", name: `br${i}`, mtu: 1500 });
    kernel.run({ op: "address.add", link: `br${i}`, address: `10.9.${i}.1/24` as Cidr });
  }
  const links = kernel.readLinks();
  assert.equal(links.length, 61);
  for (let i = 0; i < 60; i++) {
    assert.deepEqual(links.find(({ name }) => name === `br${i}`)?.addresses, [`10.9.${i}.1/24`]);
  }
});

test("a dump is whole while others add and delete links", needs, async (t) => {
  const { kernel, pod } = open(t);
  const stable = Array.from({ length: 50 }, (_, i) => `br${i}`);
  for (const name of stable) kernel.run({ op: "bridge.add", name, mtu: 1500 });
  const churn = spawn("ip", ["-n", pod.name, "-batch", "-"], { stdio: ["pipe", "ignore", "inherit"] });
  const lines = Array.from(
    { length: 20 },
    (_, i) => `link add p${i} mtu ${1400 + i} type veth peer name q${i}\nlink delete p${i}\n`,
  );
  churn.stdin.end(lines.join(""));
  let ended = false;
  churn.on("exit", () => {
    ended = true;
  });
  let dumps = 0;
  while (!ended) {
    const names = kernel.readLinks().map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const name of stable) assert.ok(names.includes(name), name);
    dumps += 1;
    await setImmediate();
  }
  assert.equal(churn.exitCode, 0);
  assert.ok(dumps > 1);
});

test("neighbours answer at once, routers with their link-local address too", needs, async (t) => {
  const { kernel, pod } = open(t);
  const { mac } = await neighbour(t, pod, ["10.244.0.1/24", "fd00:10:244::1/64"]);
  const linkLocal = eui64("fe80::" as Ip, macToBytes(mac));
  const gateways = ["10.244.0.1", "fd00:10:244::1", "10.244.0.99"] as string[] as Ip[];
  const asked = () =>
    kernel
      .resolveNeighbours("eth0", gateways)
      .toSorted((a, b) => gateways.indexOf(b.ip) - gateways.indexOf(a.ip));
  const known = [gateways[1], gateways[0], linkLocal];
  const expected = known.map((ip) => ({ link: "eth0", ip, mac, permanent: false }));
  // A busy machine may be slower than anybody waits for an answer; then a second question finds it.
  await eventually("all have answered", () => asked().length === expected.length || undefined);
  assert.deepEqual(asked(), expected);
  // Without podtap's own haste (nodad): it is still being proved unique.
  pod.run("ip", "address", "add", "fd00:10:244::5/64", "dev", "eth0");
  pod.run("ip", "address", "add", "10.244.0.5/24", "dev", "eth0");
  assert.match(pod.run("ip", "-6", "address", "show", "dev", "eth0"), /fd00:10:244::5.*tentative/);
  assert.deepEqual(asked(), expected);
  assert.deepEqual(kernel.readNeighbours(), []);
});

test("a router that is known by its link-local address is found by it", needs, async (t) => {
  const { kernel, pod } = open(t);
  const { mac } = await neighbour(t, pod, ["fe80::53/64"]);
  assert.deepEqual(kernel.resolveNeighbours("eth0", ["fe80::53" as Ip]), [
    { link: "eth0", ip: "fe80::53", mac, permanent: false },
  ]);
});

test("a kernel that renames only links that are down gets them down, and up again", needs, (t) => {
  const pod = testPod(t);
  connect({ pod, link: "eth0", addresses: ["fd00::5/64"], peer: testPod(t, "node"), peerLink: "veth0" });
  const rtnetlink = inNetns(pod.path, openRtnetlink);
  t.after(() => rtnetlink.close());
  let refused = 0;
  const old: Rtnetlink = {
    ...rtnetlink,
    change: (...changes) => {
      const link = readLinks(rtnetlink).find(({ type }) => type === "veth");
      const renames = changes.length === 1 && changes[0]?.type === RTM_SETLINK && link?.up === true;
      if (!renames) return rtnetlink.change(...changes);
      refused += 1;
      throw new KernelError({ errno: EBUSY, operation: "rename", object: "eth0" });
    },
  };
  const changes = { rename: "eth0-nic", mac: "02:00:00:00:00:07" as Mac };
  setLink(old, "eth0", changes);
  const renamed = readLinks(rtnetlink).find(({ name }) => name === "eth0-nic");
  assert.deepEqual([renamed?.up, renamed?.mac, refused], [true, changes.mac, 1]);
  // Which is why addresses are taken off, and their return planned, before a NIC steps aside.
  assert.ok(!renamed?.addresses.includes("fd00::5/64" as Cidr));
});

test("nobody is asked over a link that is down", needs, (t) => {
  const { kernel, pod } = open(t);
  const node = testPod(t, "node");
  connect({ pod, link: "eth0", peer: node, peerLink: "veth0", peerAddresses: ["10.244.0.1/24"] });
  pod.run("ip", "link", "set", "eth0", "down");
  assert.deepEqual(kernel.resolveNeighbours("eth0", ["10.244.0.1" as Ip]), []);
});

test("iproute2 sees forwarding entries, neighbours and port flags as they were meant", needs, (t) => {
  const { kernel, pod } = open(t);
  kernel.run(
    { op: "bridge.add", name: "br0", mtu: 1500 },
    { op: "tap.add", name: "tap0", uid: 107, multiQueue: false, mtu: 1500 },
    {
      op: "link.set",
      name: "tap0",
      changes: { master: "br0", up: true, port: { learning: false, neighbourSuppression: true } },
    },
    { op: "fdb.add", port: "tap0", mac: "02:00:00:00:00:05" as Mac },
    { op: "neighbour.add", link: "br0", ip: "10.0.0.5" as Ip, mac: "02:00:00:00:00:05" as Mac },
  );
  assert.match(pod.run("bridge", "fdb", "show", "dev", "tap0"), /02:00:00:00:00:05 master br0 static/);
  assert.match(pod.run("ip", "neighbour"), /10.0.0.5 dev br0 lladdr 02:00:00:00:00:05 PERMANENT/);
  assert.match(pod.run("bridge", "-d", "link", "show", "dev", "tap0"), /learning off .*neigh_suppress on/s);
  pod.run("bridge", "fdb", "add", "02:00:00:00:00:06", "dev", "tap0", "master", "static");
  pod.run("bridge", "fdb", "add", "02:00:00:00:00:07", "dev", "br0", "self", "permanent");
  assert.deepEqual(
    kernel
      .readFdb()
      .map(({ mac }) => mac)
      .toSorted(),
    ["02:00:00:00:00:05", "02:00:00:00:00:06"],
  );
});

test("the kernel is asked what it can do, and nothing is left", needs, (t) => {
  const features = probeFeatures();
  assert.deepEqual(features, hostFeatures());
  assert.doesNotMatch(readFileSync("/proc/net/dev", "utf8"), /probe/);
  const { run } = testPod(t);
  const can = (...command: readonly [string, ...string[]]): boolean => {
    try {
      run(...command);
      return true;
    } catch {
      return false;
    }
  };
  assert.equal(features.dummy, can("ip", "link", "add", "d0", "type", "dummy"));
  run("ip", "link", "add", "br0", "type", "bridge");
  assert.equal(features.macvtap, can("ip", "link", "add", "m0", "link", "br0", "type", "macvtap"));
  const chain = "{ type filter hook egress device lo priority 0; }";
  run("nft", "add table netdev t");
  assert.equal(features.netdevEgress, can("nft", `add chain netdev t c ${chain}`));
  assert.equal(features.vhostNet, existsSync("/dev/vhost-net"));
  run("tc", "qdisc", "add", "dev", "lo", "clsact");
  const redirect = ["action", "mirred", "egress", "redirect", "dev", "lo"];
  const filter = ["filter", "add", "dev", "lo", "ingress"] as const;
  assert.equal(features.classifiers.includes("matchall"), can("tc", ...filter, "matchall", ...redirect));
  const all = ["match", "u32", "0", "0"];
  assert.equal(features.classifiers.includes("u32"), can("tc", ...filter, "u32", ...all, ...redirect));
});

test("a digest is blind to counters, handles and the order of elements", needs, (t) => {
  const { kernel, pod } = open(t);
  const elements = ["7", "22", "80", "443", "8080", "9000"].map((key) => ({ key }));
  const table: NftTable = {
    family: "inet",
    name: "podtap-digest",
    counters: [{ name: "seen" }],
    sets: [{ name: "ports", key: "inet_service", elements }],
    chains: [
      {
        name: "out",
        hook: { type: "filter", hook: "output", priority: 0, policy: "accept" },
        rules: ["udp dport { 9, 10, 11 } counter name seen counter accept"],
      },
    ],
  };
  const digest = () => kernel.readNftTables("podtap")[0]?.digest;
  kernel.run({ op: "nft.replace", tables: [table] });
  const first = digest();
  pod.run("bash", "-c", "echo hello >/dev/udp/127.0.0.1/9");
  assert.equal(kernel.readNftCounters({ family: "inet", name: "podtap-digest" })["seen"]?.packets, 1);
  assert.equal(digest(), first);
  const shuffled = [{ name: "ports", key: "inet_service", elements: elements.toReversed() }];
  kernel.run({ op: "nft.replace", tables: [{ ...table, sets: shuffled }] });
  assert.equal(digest(), first);
  pod.run("nft", "add", "element", "inet", "podtap-digest", "ports", "{ 5 }");
  assert.notEqual(digest(), first);
});

test("each of several tables has its own digest", needs, (t) => {
  const { kernel } = open(t);
  const table = (family: "ip" | "ip6" | "inet", rule: string): NftTable => ({
    family,
    name: "podtap-same",
    counters: [],
    sets: [],
    chains: [{ name: "c", rules: [rule] }],
  });
  const digests = () =>
    Object.fromEntries(kernel.readNftTables("podtap").map(({ family, digest }) => [family, digest]));
  kernel.run({
    op: "nft.replace",
    tables: [table("ip", "accept"), table("ip6", "accept"), table("inet", "drop")],
  });
  const first = digests();
  assert.equal(new Set(Object.values(first)).size, 3);
  kernel.run({ op: "nft.replace", tables: [table("ip", "drop")] });
  const second = digests();
  assert.notEqual(second["ip"], first["ip"]);
  assert.deepEqual({ ...second, ip: "" }, { ...first, ip: "" });
});

test("a refused rule changes nothing and is named", needs, (t) => {
  const { kernel } = open(t);
  const good: NftTable = {
    family: "ip",
    name: "podtap-a",
    counters: [],
    sets: [],
    chains: [{ name: "c", rules: ["accept"] }],
  };
  kernel.run({ op: "nft.replace", tables: [good] });
  const before = kernel.readNftTables("podtap");
  for (const rule of ["jump nowhere", "tcp dport nonsense accept", "iifname"]) {
    const bad: NftTable = { ...good, name: "podtap-b", chains: [{ name: "c", rules: ["accept", rule] }] };
    assert.throws(
      () => kernel.run({ op: "nft.replace", tables: [{ ...good, chains: [] }, bad] }),
      (thrown: unknown) => messageOf(thrown).startsWith(`nftables refused ${JSON.stringify(rule)}: `),
    );
    assert.deepEqual(kernel.readNftTables("podtap"), before);
  }
});

test("a table of thousands of ports is put in place", needs, (t) => {
  const { kernel } = open(t);
  const elements = Array.from({ length: 3000 }, (_, i) => ({
    key: `tcp . ${10000 + 2 * i}`,
    value: "10.0.2.2",
  }));
  const sets = [{ name: "m", key: "inet_proto . inet_service", to: "ipv4_addr", interval: true, elements }];
  kernel.run({
    op: "nft.replace",
    tables: [{ family: "ip", name: "podtap-big", counters: [], sets, chains: [] }],
  });
  assert.equal(kernel.readNftTables("podtap-big").length, 1);
});

test("a kernel that is closed lets its namespace go", needs, (t) => {
  const pod = testPod(t);
  const fds = openDescriptors();
  openKernel(pod.path).close();
  assert.equal(openDescriptors(), fds);
});

test("a namespace that is not there is named", needs, () => {
  assert.throws(() => openKernel("/run/netns/pt-not-there"), {
    code: "PT-KERNEL-2",
    message: /cannot open the network namespace \/run\/netns\/pt-not-there/,
  });
});

function open(t: TestContext): { kernel: OpenKernel; pod: TestPod } {
  const pod = testPod(t);
  const kernel = openKernel(pod.path);
  t.after(() => kernel.close());
  return { kernel, pod };
}

/** eth0 as the contract describes it, joined to a namespace that stands for the node. */
function cable(t: TestContext, pod: TestPod): void {
  const node = testPod(t, "node");
  const { name, addresses, gateways, mtu, mac } = POD_NIC;
  connect({ pod, link: name, addresses, peer: node, peerLink: "veth0", mtu });
  pod.run("ip", "link", "set", name, "address", mac);
  for (const gateway of gateways) {
    pod.run("ip", gateway.includes(":") ? "-6" : "-4", "route", "add", "default", "via", gateway);
  }
}

/** A namespace joined to the pod's eth0 that answers at once. */
async function neighbour(
  t: TestContext,
  pod: TestPod,
  peerAddresses: readonly string[],
): Promise<{ readonly mac: Mac }> {
  const peer = testPod(t, "node");
  // Proving an address unique would take it a second, in which it is silent.
  peer.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  connect({ pod, link: "eth0", peer, peerLink: "veth0", peerAddresses });
  // A veth's carrier is noticed some time after both ends are up.
  for (const [end, link] of [
    [pod, "eth0"],
    [peer, "veth0"],
  ] as const) {
    await eventually(`${link} up`, () => / state UP /.test(end.run("ip", "link", "show", link)) || undefined);
  }
  return { mac: macOf(peer, "veth0") };
}

function macOf(pod: TestPod, link: string): Mac {
  return /link\/ether (\S+)/.exec(pod.run("ip", "link", "show", link))?.[1] as Mac;
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
