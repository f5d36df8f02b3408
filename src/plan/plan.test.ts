import assert from "node:assert/strict";
import { test } from "node:test";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../../test/support/builders.ts";
import type { Cidr, Ip } from "../base/ip.ts";
import { registry } from "../bindings/index.ts";
import { diffPlan, teardownSteps } from "./diff.ts";
import type { Observed } from "./observed.ts";
import { declaredIntervals, formatInterval } from "./parts/port-intervals.ts";
import { searchDomainsFor } from "./parts/search-domains.ts";
import type { Plan } from "./plan.ts";
import { planPod } from "./planner.ts";
import { renderSteps } from "./render-text.ts";
import type { Step } from "./step.ts";
import { undoOf, undosOf } from "./undo.ts";

const observed = observedPod(DUAL_STACK);

function plan(): Plan {
  const result = planPod(
    { vmi: vmi({ nic: { ports: [{ port: 80 }] } }), observed, resolver: RESOLVER, host: HOST, queues: 0 },
    registry,
  );
  assert.ok(result.ok);
  return result.value;
}

test("on a fresh pod everything is missing, rules first and the guest's link last", () => {
  assert.equal(
    renderSteps(diffPlan(plan(), observed, [])),
    `~ nft table ip podtap-eth0
~ nft table ip6 podtap-eth0
~ nft table bridge podtap-eth0
+ bridge k6t-eth0  mtu 1450
+ tap tap0  mtu 1450
~ sysctl net/bridge/bridge-nf-call-iptables = 0
~ sysctl net/bridge/bridge-nf-call-ip6tables = 0
~ sysctl net/ipv4/ip_forward = 1
~ sysctl net/ipv4/conf/k6t-eth0/route_localnet = 1
~ sysctl net/ipv6/conf/all/forwarding = 1
~ sysctl net/ipv6/conf/k6t-eth0/addr_gen_mode = 1
+ address 10.0.2.1/24 on k6t-eth0
+ address 10.0.2.3/32 on k6t-eth0
+ address fe80::1/64 on k6t-eth0
+ address fd10:0:2::1/120 on k6t-eth0
+ address fd10:0:2::3/128 on k6t-eth0
+ address fd10:0:2::ff:fe00:0/64 on k6t-eth0
~ link k6t-eth0  up true
~ link tap0  master k6t-eth0  up true
`,
  );
});

test("what drifted is put right, what is foreign is left alone", () => {
  const wanted = plan();
  const bridge = wanted.nics[0]?.links[0];
  assert.ok(bridge?.type === "bridge");
  const digests = [
    { family: "ip", name: "podtap-eth0", digest: "a" },
    { family: "ip6", name: "podtap-eth0", digest: "b" },
    { family: "bridge", name: "podtap-eth0", digest: "c" },
  ] as const;
  const settled: Observed = {
    ...observed,
    links: [
      ...observed.links,
      podLink(bridge.addresses, {
        index: 3,
        name: "k6t-eth0",
        type: "bridge",
        mac: bridge.mac!,
        mtu: 1450,
        alias: "podtap",
      }),
      podLink([], {
        index: 4,
        name: "tap0",
        type: "tun",
        master: "k6t-eth0",
        alias: "podtap",
        tap: { uid: 107, multiQueue: false },
      }),
    ],
    sysctls: Object.fromEntries(wanted.nics[0]!.sysctls.map(({ key, value }) => [key, value])),
    nft: digests,
  };
  assert.deepEqual(diffPlan(wanted, settled, digests), []);
  const drifted: Observed = {
    ...settled,
    links: settled.links.map((link) =>
      link.name === "tap0" ? { ...link, mtu: 1500, up: false, tap: { uid: 0, multiQueue: false } } : link,
    ),
    nft: [{ ...digests[0], digest: "changed" }, digests[1], digests[2]],
    sysctls: { ...settled.sysctls, "net/ipv4/ip_forward": "0" },
  };
  assert.equal(
    renderSteps(diffPlan(wanted, drifted, digests)),
    `~ nft table ip podtap-eth0
- link tap0
+ tap tap0  mtu 1450
~ sysctl net/ipv4/ip_forward = 1
~ link tap0  master k6t-eth0  up true
`,
  );
  assert.equal(
    renderSteps(teardownSteps(wanted, settled)),
    "- link tap0\n- link k6t-eth0\n- nft table ip podtap-eth0\n- nft table ip6 podtap-eth0\n- nft table bridge podtap-eth0\n",
  );
  const foreign: Observed = {
    ...settled,
    nft: [],
    links: settled.links.map(({ alias: _, ...link }) => link),
  };
  assert.deepEqual(teardownSteps(wanted, foreign), []);
});

test("every step's undo restores what was there before", () => {
  const before: Observed = {
    ...observed,
    sysctls: { "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "1" },
  };
  assert.deepEqual(undoOf({ op: "sysctl.set", key: "net/ipv4/ip_forward", value: "1" }, before), [
    { op: "sysctl.set", key: "net/ipv4/ip_forward", value: "0" },
  ]);
  assert.deepEqual(undoOf({ op: "sysctl.set", key: "net/ipv6/conf/all/forwarding", value: "1" }, before), []);
  assert.deepEqual(undoOf({ op: "bridge.add", name: "k6t-eth0", mtu: 1500 }, before), [
    { op: "link.delete", name: "k6t-eth0" },
  ]);
  assert.deepEqual(
    undoOf({ op: "link.set", name: "eth0", changes: { mtu: 9000, rename: "eth0-nic" } }, before),
    [{ op: "link.set", name: "eth0-nic", changes: { mtu: 1450, rename: "eth0" } }],
  );
});

test("ports and ranges become disjoint intervals", () => {
  const intervals = declaredIntervals({
    ports: [{ port: 80 }, { port: 81 }, { port: 53, protocol: "UDP" }],
    portRanges: [
      { protocol: "TCP", start: 70, end: 80 },
      { protocol: "TCP", start: 90, end: 95 },
    ],
  });
  assert.deepEqual(
    intervals.map((interval) => `${interval.protocol} ${formatInterval(interval)}`),
    ["tcp 70-81", "tcp 90-95", "udp 53"],
  );
});

test("the subdomain goes in front of the longest service domain", () => {
  const domains = ["default.svc.cluster.local", "svc.cluster.local"];
  assert.deepEqual(searchDomainsFor(domains, "sub"), ["sub.default.svc.cluster.local", ...domains]);
  assert.deepEqual(searchDomainsFor(["sub.default.svc.cluster.local"], "sub"), [
    "sub.default.svc.cluster.local",
  ]);
  assert.deepEqual(searchDomainsFor(["example.org"], "sub"), ["example.org"]);
});

test("what routers advertised is taken off a NIC and not put back; settings stay with the link that is renamed", () => {
  const address = "fdbe::7/64" as Cidr;
  const route = { destination: "::/0" as Cidr, gateway: "fe80::1" as Ip, link: "eth0" };
  const before: Observed = {
    ...observedPod([], { links: [podLink([address], { advertised: [address] })] }),
    sysctls: { "net/ipv6/conf/eth0/accept_dad": "0" },
  };
  assert.deepEqual(undoOf({ op: "address.delete", link: "eth0", address }, before), []);
  assert.deepEqual(undoOf({ op: "route.delete", route: { ...route, advertised: true } }, before), []);
  assert.equal(undoOf({ op: "route.delete", route }, before).length, 1);
  const setting: Step = { op: "sysctl.set", key: "net/ipv6/conf/eth0/accept_dad", value: "1" };
  const aside: Step = { op: "link.set", name: "eth0", changes: { rename: "eth0-nic" } };
  assert.deepEqual(undosOf([setting], before)[0], [{ ...setting, value: "0" }]);
  assert.deepEqual(undosOf([aside, setting], before)[1], []);
});
