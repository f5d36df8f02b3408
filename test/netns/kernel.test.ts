import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.ts";
import type { Cidr } from "../../src/base/ip.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import type { NftTable } from "../../src/nft/model.ts";
import { kernelContract, POD_NIC } from "../contract/kernel.contract.ts";
import { connect, requires, type TestPod, testPod } from "../support/netns.ts";

const needs = requires("root", "ip", "nft", "tap");

kernelContract({
  label: "real kernel",
  ...needs,
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

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
