/** Plans of the tc-redirect binding against golden text; `make golden` rewrites the files. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { InterfaceSpec, Vmi } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import type { Result } from "../../src/base/result.ts";
import { registry } from "../../src/bindings/index.ts";
import type { HostFeatures } from "../../src/plan/host-features.ts";
import type { Observed } from "../../src/plan/observed.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { planPod } from "../../src/plan/planner.ts";
import { renderPlan } from "../../src/plan/render-text.ts";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../support/builders.ts";

interface Case {
  readonly name: string;
  readonly observed?: Observed;
  readonly nic?: Partial<InterfaceSpec>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly features?: Partial<HostFeatures>;
  readonly queues?: number;
}

const ROUTER = "ee:ee:ee:00:00:01" as Mac;
const routes = [
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
const pod = (addresses: readonly string[]): Observed => observedPod(addresses, { routes, neighbours });

const cases: readonly Case[] = [
  { name: "dual-stack" },
  { name: "ipv4-only", observed: observedPod(["10.244.1.7/24"], { routes: routes.slice(0, 2) }) },
  {
    name: "ipv6-only",
    observed: observedPod(["fd00:10:244:1::7/64"], { routes: routes.slice(2), neighbours }),
  },
  { name: "no-address", observed: observedPod([]) },
  { name: "dhcp-external", annotations: { "podtap.io/dhcp": "external" } },
  { name: "u32", features: { classifiers: ["u32"], netdevEgress: false } },
  { name: "matchall-multiqueue", features: { classifiers: ["matchall", "u32"] }, queues: 4 },
  { name: "own-mac", nic: { macAddress: "02-00-00-11-22-33", state: "down" } },
];

for (const one of cases) {
  test(`tc-redirect/${one.name}`, () => {
    const result = plan(one);
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(JSON.parse(JSON.stringify(result.value)), result.value, "a plan survives JSON");
    golden(`tc-redirect/${one.name}.txt`, renderPlan(result.value, { rules: true }));
  });
}

test("a default route's smaller MTU is the guest's, by every way it is told", () => {
  const small = routes.map((route) => ({ ...route, ...("gateway" in route && { mtu: 1400 }) }));
  const result = plan({ name: "", observed: observedPod(DUAL_STACK, { routes: small, neighbours }) });
  assert.ok(result.ok);
  const [nic] = result.value.nics;
  const tap = nic?.links.find(({ type }) => type === "tap");
  const told = nic?.services.flatMap(({ config }) => ("mtu" in config ? [config.mtu] : []));
  assert.deepEqual([tap?.type === "tap" && tap.mtu, nic?.domain.mtu, told], [1400, 1400, [1400, 1400]]);
});

test("a kernel without a classifier, and a link without a MAC, are problems with a way out", () => {
  const codeOf = (one: Omit<Case, "name">): string | undefined => {
    const result = plan({ name: "", ...one });
    return result.ok ? undefined : result.problems[0]?.code;
  };
  assert.equal(codeOf({ features: { classifiers: [] } }), "PT-REDIRECT-1");
  const { mac: _, ...tunnel } = podLink(DUAL_STACK);
  assert.equal(codeOf({ observed: observedPod([], { links: [tunnel] }) }), "PT-REDIRECT-2");
});

function plan({ observed = pod(DUAL_STACK), nic, annotations, features, queues = 0 }: Case): Result<Plan> {
  const interfaces = [{ name: "default", binding: { name: "tc-redirect" }, ...nic }];
  const spec: Vmi["spec"] = { domain: { devices: { interfaces } } };
  return planPod(
    {
      vmi: vmi({ spec, ...(annotations && { annotations }) }),
      observed,
      resolver: RESOLVER,
      host: { ...HOST, features: { ...HOST.features, ...features } },
      queues,
    },
    registry,
  );
}

function golden(path: string, actual: string): void {
  const file = new URL(path, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, "utf8"));
}
