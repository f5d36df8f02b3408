/**
 * Plans of the masquerade binding against golden text. `make golden` rewrites the files; the diff is reviewed
 * with the change that caused it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { registry } from "../../src/bindings/index.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { planPod } from "../../src/plan/planner.ts";
import { renderPlan } from "../../src/plan/render-text.ts";
import { DUAL_STACK, HOST, observedPod, RESOLVER, type VmiParts, vmi } from "../support/builders.ts";

interface Case {
  readonly name: string;
  readonly parts: VmiParts;
  readonly observed?: Observed;
  readonly queues?: number;
}

const web = {
  ports: [
    { name: "http", port: 80 },
    { port: 53, protocol: "UDP" as const },
  ],
};
const cases: readonly Case[] = [
  { name: "dual-stack", parts: { nic: web } },
  { name: "ipv4-only", parts: { nic: web }, observed: observedPod(["10.244.1.7/24"]) },
  { name: "ipv6-only", parts: { nic: web }, observed: observedPod(["fd00:10:244:1::7/64"]) },
  { name: "no-ports", parts: {} },
  { name: "inbound-all", parts: { annotations: { "podtap.io/inbound": "all" } } },
  {
    name: "ranges",
    parts: {
      nic: {
        portRanges: [
          { protocol: "TCP", start: 8000, end: 8010 },
          { protocol: "TCP", start: 8005, end: 8020 },
          { protocol: "UDP", start: 1, end: 65535 },
        ],
      },
    },
  },
  { name: "cidr-30", parts: { nic: { ...web, masquerade: { cidr: "192.168.100.0/30" } } } },
  {
    name: "cidr-custom",
    parts: {
      nic: web,
      network: { pod: { vmNetworkCIDR: "10.11.12.13/24", vmIPv6NetworkCIDR: "fd10:9::/64" } },
    },
  },
  { name: "istio", parts: { annotations: { "sidecar.istio.io/inject": "True" } } },
  {
    name: "istio-ports",
    parts: {
      nic: { ports: [{ port: 22 }, { port: 80 }] },
      annotations: { "sidecar.istio.io/inject": "true" },
    },
  },
  { name: "legacy-migration", parts: { nic: web, status: { migrationTransport: "TCP" } } },
  {
    name: "multiqueue",
    parts: { nic: { ...web, macAddress: "DE-AD-00-00-BE-AF", bootOrder: 1, state: "down" } },
    queues: 4,
  },
];

for (const { name, parts, observed, queues } of cases) {
  test(`masquerade/${name}`, () => {
    const input = {
      vmi: vmi(parts),
      observed: observed ?? observedPod(DUAL_STACK),
      resolver: RESOLVER,
      host: HOST,
      queues: queues ?? 0,
    };
    const before = structuredClone(input);
    const result = planPod(input, registry);
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(input, before, "planning leaves its input untouched");
    assert.deepEqual(JSON.parse(JSON.stringify(result.value)), result.value, "a plan survives JSON");
    golden(`masquerade/${name}.txt`, renderPlan(result.value, { rules: true }));
  });
}

test("a pod without any global address is a problem, not a plan", () => {
  const result = planPod(
    { vmi: vmi(), observed: observedPod(["fe80::1/64"]), resolver: RESOLVER, host: HOST, queues: 0 },
    registry,
  );
  assert.ok(!result.ok);
  assert.equal(result.problems[0]?.code, "PT-PLAN-2");
});

test("private networks that cannot work are named with their field", () => {
  const refused = (cidr: string): string | undefined => {
    const result = planPod(
      {
        vmi: vmi({ nic: { masquerade: { cidr } } }),
        observed: observedPod(DUAL_STACK),
        resolver: RESOLVER,
        host: HOST,
        queues: 0,
      },
      registry,
    );
    return result.ok ? undefined : `${result.problems[0]?.field}: ${result.problems[0]?.message}`;
  };
  const field = "spec.domain.devices.interfaces[0].masquerade.cidr";
  assert.match(refused("10.0.2.0/31") ?? "", /too small/);
  assert.match(refused("fd10::/127") ?? "", /too small/);
  assert.equal(
    refused("10.244.1.0/24"),
    `${field}: the guest's private network 10.244.1.0/24 contains 10.244.1.7, which the pod needs to reach`,
  );
  assert.equal(refused("ten/24"), `${field}: ten/24 is not an IPv4 network`);
});

function golden(path: string, actual: string): void {
  const file = new URL(path, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, "utf8"));
}
