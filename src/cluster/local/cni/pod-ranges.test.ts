import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cidr, cidrsOverlap, type Ip, ipFromBytes, toCidr } from "../../../base/ip.ts";
import type { ObservedLink, ObservedRoute } from "../../../plan/observed.ts";
import { defaultNetwork, uplinkMtu } from "./default-network.ts";
import { planForwarding } from "./host-forwarding.ts";
import { bridgeSteps } from "./pod-bridge.ts";
import { chooseRanges, findRanges, type HostFacts } from "./pod-ranges.ts";

const link = (name: string, ...addresses: string[]): ObservedLink => ({
  index: 2,
  name,
  type: "",
  mtu: 1500,
  up: true,
  addresses: addresses as Cidr[],
});
const route = (destination: string, over = "eth0"): ObservedRoute => ({
  destination: destination as Cidr,
  link: over,
});
const empty: HostFacts = {
  machineId: "3d1219c7c4c5404aaa1f6d2a48adfda4",
  links: [link("eth0", "192.0.2.2/24")],
  routes: [route("0.0.0.0/0"), route("::/0"), route("192.0.2.0/24")],
  neededAddresses: [],
  ipv6: true,
  bridge: "podtap0",
};

test("a host with nothing special gets the first candidates", () => {
  assert.deepEqual(findRanges(empty), {
    pods: { v4: "10.88.0.0/20", v6: "fd6e:7457:c230:1::/64" },
    services: { v4: "10.96.0.0/20", v6: "fd6e:7457:c230:2::/112" },
  });
  assert.deepEqual(findRanges({ ...empty, ipv6: false }), {
    pods: { v4: "10.88.0.0/20" },
    services: { v4: "10.96.0.0/20" },
  });
  const other = findRanges({ ...empty, machineId: "another" });
  assert.notEqual(other.pods.v6, findRanges(empty).pods.v6);
});

test("routes, addresses and resolvers are avoided, a default route in halves is not", () => {
  const company = { ...empty, routes: [...empty.routes, route("10.0.0.0/8", "tun0")] };
  assert.equal(findRanges(company).pods.v4, "172.16.128.0/20");
  assert.equal(findRanges({ ...empty, neededAddresses: ["10.88.3.4" as Ip] }).pods.v4, "10.89.0.0/20");
  assert.equal(findRanges({ ...empty, links: [link("cni0", "10.88.15.254/32")] }).pods.v4, "10.89.0.0/20");
  const vpn = { ...empty, routes: [route("0.0.0.0/1"), route("128.0.0.0/1")] };
  assert.equal(findRanges(vpn).pods.v4, "10.88.0.0/20");
});

test("chosen ranges overlap nothing in use and not each other", () => {
  const subnets = fc.tuple(
    fc.constantFrom(10, 172, 192),
    fc.nat(255),
    fc.nat(255),
    fc.integer({ min: 9, max: 32 }),
  );
  fc.assert(
    fc.property(fc.array(subnets, { maxLength: 12 }), (parts) => {
      const used = parts.map(([a, b, c, prefix]) =>
        toCidr(ipFromBytes(Uint8Array.from([a, b, c, 1])), prefix),
      );
      const { pods, services } = findRanges({ ...empty, routes: used.map((one) => route(one)) });
      const all = [pods.v4, pods.v6, services.v4, services.v6].filter((one) => one !== undefined);
      for (const [i, one] of all.entries()) {
        assert.ok(!used.some((other) => cidrsOverlap(one, other)), `${one} among ${used}`);
        assert.ok(!all.slice(i + 1).some((other) => cidrsOverlap(one, other)));
      }
    }),
  );
});

test("a host that uses everything is told so", () => {
  const routes = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((one) => route(one));
  assert.throws(() => findRanges({ ...empty, routes }), { code: "PT-CNI-10", hint: /cniConfDir/ });
});

test("stored ranges are kept until they clash and nothing runs", () => {
  const stored = findRanges(empty);
  const own = [link("podtap0", "10.88.0.1/20")];
  const ours = { ...empty, links: own, routes: [route("10.88.0.0/20", "podtap0")] };
  assert.deepEqual(chooseRanges(stored, true, ours), { ranges: stored, changed: false });
  const vpn = { ...empty, routes: [route("10.88.0.0/16", "tun0")] };
  const blocked = chooseRanges(stored, true, vpn);
  assert.deepEqual([blocked.changed, blocked.ranges], [false, stored]);
  assert.equal(blocked.clash, "10.88.0.0/20 overlaps 10.88.0.0/16, which the host uses");
  const moved = chooseRanges(stored, false, vpn);
  assert.deepEqual([moved.changed, moved.ranges.pods.v4], [true, "10.89.0.0/20"]);
  assert.equal(chooseRanges(undefined, false, empty).changed, true);
});

test("podtap's own network is a conflist the bridge plugin takes", () => {
  const { plugins } = defaultNetwork({
    ranges: findRanges(empty).pods,
    mtu: 1450,
    hairpin: true,
    leaseDir: "/run/l",
  });
  assert.deepEqual(plugins[0]["ipam"], {
    type: "host-local",
    dataDir: "/run/l",
    ranges: [[{ subnet: "10.88.0.0/20" }], [{ subnet: "fd6e:7457:c230:1::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  });
  assert.deepEqual([plugins[0]["ipMasq"], plugins[0]["hairpinMode"], plugins[0]["mtu"]], [false, true, 1450]);
});

test("the MTU is the smallest of the uplinks'", () => {
  const links = [
    { ...link("eth0"), mtu: 9000 },
    { ...link("wg0"), mtu: 1420 },
    { ...link("lab0"), mtu: 1280 },
  ];
  assert.equal(
    uplinkMtu(links, [route("0.0.0.0/0"), route("::/0", "wg0"), route("10.0.0.0/8", "lab0")]),
    1420,
  );
  assert.equal(uplinkMtu(links, []), 1500);
});

test("accept_ra is raised before IPv6 forwarding, and only where it was on", () => {
  const values: Record<string, string> = {
    "net/ipv4/ip_forward": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "net/ipv6/conf/eth0/accept_ra": "1",
    "net/ipv6/conf/eth1/accept_ra": "0",
  };
  const plan = (more: Record<string, string> = {}) =>
    planForwarding(["eth0", "eth1", "gone0"], (key) => ({ ...values, ...more })[key] ?? null).map(
      ({ key, value }) => `${key}=${value}`,
    );
  assert.deepEqual(plan(), [
    "net/ipv4/ip_forward=1",
    "net/ipv6/conf/eth0/accept_ra=2",
    "net/ipv6/conf/all/forwarding=1",
  ]);
  assert.deepEqual(plan({ "net/ipv6/conf/all/forwarding": "1" }), ["net/ipv4/ip_forward=1"]);
  assert.deepEqual(
    planForwarding(["eth0"], () => null),
    [],
  );
});

test("the pod bridge is made once, and anew for other ranges when no pod is on it", () => {
  const { pods } = findRanges(empty);
  const bridge = { name: "podtap0", ranges: pods, mtu: 1500 };
  const ops = (links: ObservedLink[]) => bridgeSteps(bridge, links).map(({ op }) => op);
  const make = ["bridge.add", "sysctl.set", "sysctl.set", "address.add", "address.add", "link.set"];
  assert.deepEqual(ops([]), make);
  const ours = {
    ...link("podtap0", "10.88.0.1/20", "fd6e:7457:c230:1::1/64", "fe80::1/64"),
    alias: "podtap",
  };
  assert.deepEqual(ops([ours]), make);
  const stale = { ...ours, addresses: ["10.99.0.1/20"] as Cidr[] };
  assert.deepEqual(ops([stale]), ["link.delete", ...make]);
  assert.deepEqual(ops([stale, { ...link("veth0"), master: "podtap0" }]), make);
  assert.deepEqual(
    ops([{ ...link("podtap0", "10.99.0.1/20") }]),
    make,
    "a stranger's bridge is never deleted",
  );
});
