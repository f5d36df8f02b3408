/** Plans of the macvtap binding against golden text; `make golden` rewrites the files. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { InterfaceSpec, NetworkSpec } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import type { Result } from "../../src/base/result.ts";
import { registry } from "../../src/bindings/index.ts";
import type { NetworkAttachment } from "../../src/plan/binding.ts";
import type { HostFeatures } from "../../src/plan/host-features.ts";
import type { Observed, ObservedLink } from "../../src/plan/observed.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { planPod } from "../../src/plan/planner.ts";
import { renderPlan } from "../../src/plan/render-text.ts";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../support/builders.ts";

interface Case {
  readonly name: string;
  readonly observed?: Observed;
  readonly nic?: Partial<InterfaceSpec>;
  readonly network?: NetworkSpec;
  readonly attachment?: NetworkAttachment;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly features?: Partial<HostFeatures>;
  readonly queues?: number;
}

const ROUTER = "ee:ee:ee:00:00:01" as Mac;
const segment = [
  { destination: "10.244.1.0/24" as Cidr, link: "eth0", fromAddress: true as const },
  { destination: "0.0.0.0/0" as Cidr, gateway: "10.244.1.1" as Ip, link: "eth0" },
  { destination: "fd00:10:244:1::/64" as Cidr, link: "eth0", fromAddress: true as const },
  { destination: "::/0" as Cidr, gateway: "fd00:10:244:1::1" as Ip, link: "eth0" },
];
const neighbours = ["fd00:10:244:1::1", "fe80::ecee:eeff:fe00:1"].map((ip) => ({
  link: "eth0",
  ip: ip as Ip,
  mac: ROUTER,
  permanent: false,
}));
const lan: NetworkSpec = { name: "default", multus: { networkName: "lan" } };
const LAN_LINK = "pod37a8eec1ce1";
const macvlan = (addresses: readonly string[], more: Partial<ObservedLink> = {}): Observed =>
  observedPod([], {
    links: [podLink(addresses, { name: LAN_LINK, type: "macvlan", macvlan: { mode: "bridge" }, ...more })],
  });
const onHost: NetworkAttachment = { plugins: ["macvlan"], master: "eth1", mode: "bridge" };

const cases: readonly Case[] = [
  { name: "dual-stack" },
  { name: "ipv4-only", observed: observedPod(["10.244.1.7/24"], { routes: segment.slice(0, 2) }) },
  {
    name: "ipv6-only",
    observed: observedPod(["fd00:10:244:1::7/64"], { routes: segment.slice(2), neighbours }),
  },
  { name: "no-address", observed: observedPod([]) },
  { name: "dhcp-external", annotations: { "podtap.io/dhcp": "external" } },
  { name: "private", annotations: { "podtap.io/macvlan-mode": "private" } },
  {
    name: "passthru-own-mac",
    annotations: { "podtap.io/macvlan-mode": "passthru" },
    nic: { macAddress: "02-00-00-11-22-33" },
  },
  { name: "no-dummy-multiqueue", features: { dummy: false }, queues: 4 },
  { name: "host-interface", observed: macvlan([]), network: lan, attachment: onHost },
  {
    name: "host-access",
    observed: macvlan(["192.168.7.20/24"]),
    network: lan,
    attachment: onHost,
    annotations: { "podtap.io/host-access": "true" },
  },
];

for (const one of cases) {
  test(`macvtap/${one.name}`, () => {
    const result = plan(one);
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(JSON.parse(JSON.stringify(result.value)), result.value, "a plan survives JSON");
    golden(`macvtap/${one.name}.txt`, renderPlan(result.value, { rules: true }));
  });
}

test("what macvtap cannot be built on, and by which host, is a problem with a way out", () => {
  const codeOf = (one: Omit<Case, "name">): string | undefined => {
    const result = plan({ name: "", ...one });
    assert.ok(result.ok || result.problems.every(({ hint }) => hint !== undefined));
    return result.ok ? undefined : result.problems[0]?.code;
  };
  const mode = (text: string) => ({ annotations: { "podtap.io/macvlan-mode": text } });
  const access = { annotations: { "podtap.io/host-access": "true" }, network: lan };
  assert.equal(codeOf({ features: { macvtap: false } }), "PT-MACVTAP-1");
  assert.equal(codeOf({ features: { netdevEgress: false } }), "PT-MACVTAP-1");
  const { mac: _, ...tunnel } = podLink(DUAL_STACK);
  assert.equal(codeOf({ observed: observedPod([], { links: [tunnel] }) }), "PT-MACVTAP-2");
  assert.equal(codeOf({ observed: macvlan([], { type: "ipvlan" }), network: lan }), "PT-MACVTAP-2");
  assert.equal(codeOf({ observed: macvlan([]), network: lan, ...mode("passthru") }), "PT-MACVTAP-2");
  assert.equal(codeOf({ observed: macvlan([]), attachment: onHost, ...access }), "PT-MACVTAP-3");
  assert.equal(codeOf({ observed: macvlan(["192.168.7.20/24"]), ...access }), "PT-MACVTAP-3");
});

test("a host without access to a guest that the LAN addresses is told how to get it", () => {
  const hintFor = (annotations: Readonly<Record<string, string>>, addresses: readonly string[]): string => {
    const all = { "podtap.io/host-access": "true", ...annotations };
    const observed = macvlan(addresses);
    const result = plan({ name: "", observed, attachment: onHost, network: lan, annotations: all });
    assert.ok(!result.ok);
    assert.match(result.problems[0]?.message ?? "", /the guest's address, which is the network's to give/);
    return result.problems[0]?.hint ?? "";
  };
  assert.match(hintFor({}, []), /IPAM .*host-local.* or add a NIC on the pod network/);
  assert.match(
    hintFor({ "podtap.io/dhcp": "external" }, ["192.168.7.20/24"]),
    /leave out podtap.io\/dhcp, or/,
  );
});

test("macvtap's problems are seen before anything runs, where the network's configuration tells them", () => {
  const binding = registry.of({ name: "default", binding: { name: "macvtap" } });
  const seen = (attachment: NetworkAttachment, annotations: Readonly<Record<string, string>> = {}) =>
    binding
      ?.validate({
        interface: { name: "default", binding: { name: "macvtap" } },
        network: lan,
        field: "spec.domain.devices.interfaces[0]",
        networkField: "spec.networks[0]",
        annotations,
        ...attachment,
      })
      .map(({ code }) => code);
  assert.deepEqual(seen(onHost), []);
  assert.deepEqual(seen({ plugins: ["macvlan"], mode: "passthru" }), ["PT-MACVTAP-2"]);
  assert.deepEqual(seen({ plugins: ["ipvlan"] }), ["PT-MACVTAP-2"]);
  const access = { "podtap.io/host-access": "true" };
  assert.deepEqual(seen(onHost, access), []);
  assert.deepEqual(seen({ plugins: ["bridge"] }, access), []);
  assert.deepEqual(seen({ plugins: ["macvlan"] }, access), ["PT-MACVTAP-3"]);
  assert.deepEqual(seen({ ...onHost, mode: "private" }, access), ["PT-MACVTAP-3"]);
});

function plan(one: Case): Result<Plan> {
  const { observed = observedPod(DUAL_STACK, { routes: segment, neighbours }), attachment } = one;
  const interfaces = [{ name: "default", binding: { name: "macvtap" }, ...one.nic }];
  const networks = [one.network ?? { name: "default", pod: {} }];
  return planPod(
    {
      vmi: vmi({
        spec: { domain: { devices: { interfaces } }, networks },
        ...(one.annotations && { annotations: one.annotations }),
      }),
      observed,
      resolver: RESOLVER,
      host: { ...HOST, features: { ...HOST.features, ...one.features } },
      queues: one.queues ?? 0,
      ...(attachment && { attachments: { default: attachment } }),
    },
    registry,
  );
}

function golden(path: string, actual: string): void {
  const file = new URL(path, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"] !== undefined) writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, "utf8"));
}
