/** Plans of the two user networks against golden text; `make golden` rewrites the files. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { InterfaceSpec, NetworkSpec, VmiSpec } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { registry } from "../../src/bindings/index.ts";
import type { HostFeatures } from "../../src/plan/host-features.ts";
import type { Observed } from "../../src/plan/observed.ts";
import { planPod } from "../../src/plan/planner.ts";
import { renderPlan } from "../../src/plan/render-text.ts";
import { DUAL_STACK, HOST, observedPod, RESOLVER, vmi } from "../support/builders.ts";

interface Case {
  readonly observed?: Observed;
  readonly nic?: Partial<InterfaceSpec>;
  readonly network?: Partial<NetworkSpec>;
  readonly spec?: Partial<VmiSpec>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly features?: Partial<HostFeatures>;
  readonly resolver?: typeof RESOLVER;
}

const routes = [
  { destination: "0.0.0.0/0" as Cidr, gateway: "10.244.1.1" as Ip, link: "eth0" },
  { destination: "::/0" as Cidr, gateway: "fd00:10:244:1::1" as Ip, link: "eth0" },
];
const ports = { ports: [{ port: 80 }, { port: 53, protocol: "UDP" as const }] };
const passt = { passtBinding: {} };
const slirp = { binding: { name: "slirp" } };
const ways = (...all: HostFeatures["userNetworks"][number]["ways"]): Partial<HostFeatures> => ({
  userNetworks: [{ program: "passt", ways: all }],
});

const cases: Readonly<Record<string, Case>> = {
  "passt/dual-stack": { nic: { ...passt, ...ports } },
  "passt/ipv4-only": { nic: { ...passt, ...ports }, observed: pod(["10.244.1.7/24"]) },
  "passt/ipv6-only": { nic: { ...passt, ...ports }, observed: pod(["fd00:10:244:1::7/64"]) },
  "passt/closed": { nic: passt },
  "passt/inbound-all": { nic: passt, annotations: { "podtap.io/inbound": "all" } },
  "passt/ranges": {
    nic: {
      ...passt,
      portRanges: [
        { protocol: "TCP", start: 8000, end: 8010 },
        { protocol: "UDP", start: 1, end: 65535 },
      ],
    },
  },
  "passt/istio": { nic: passt, annotations: { "sidecar.istio.io/inject": "true" } },
  "passt/istio-ports": {
    nic: { ...passt, portRanges: [{ protocol: "TCP", start: 15000, end: 15003 }] },
    annotations: { "sidecar.istio.io/inject": "true" },
  },
  "passt/calico": {
    nic: { ...passt, ...ports },
    observed: observedPod(["10.244.1.7/32"], {
      routes: [{ destination: "0.0.0.0/0" as Cidr, gateway: "169.254.1.1" as Ip, link: "eth0" }],
    }),
  },
  "passt/no-route-no-dns": {
    nic: { ...passt, macAddress: "02:00:00:00:00:00" },
    observed: observedPod(["10.244.1.1/24"]),
    resolver: { nameservers: [], searchDomains: [] },
  },
  "passt/backend": {
    nic: { ...passt, ...ports },
    features: ways("stream", "vhost-user", "backend"),
    annotations: { "podtap.io/user-network": "backend" },
  },
  "passt/vhost-user": {
    nic: { ...passt, ...ports, model: "virtio" },
    features: ways("stream", "vhost-user"),
    annotations: { "podtap.io/user-network": "vhost-user" },
  },
  "slirp/dual-stack": { nic: { ...slirp, ...ports, model: "e1000" } },
  "slirp/ipv6-only": { nic: { ...slirp, ...ports }, observed: pod(["fd00:10:244:1::7/64"]) },
  "slirp/inbound-all": { nic: slirp, annotations: { "podtap.io/inbound": "all" } },
  "slirp/own-network": { nic: { ...slirp, ...ports }, network: { pod: { vmNetworkCIDR: "10.11.12.13/24" } } },
};

for (const [name, one] of Object.entries(cases)) {
  test(name, () => {
    const result = plan(one);
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(JSON.parse(JSON.stringify(result.value)), result.value, "a plan survives JSON");
    const program = result.value.nics[0]?.userNetwork;
    const line = program === undefined ? "" : `\n${program.program} ${program.arguments.join(" ")}\n`;
    golden(`${name}.txt`, `${renderPlan(result.value, { rules: true })}${line}`);
  });
}

test("what cannot be is a problem with its reason", () => {
  const codeOf = (one: Case) => {
    const result = plan(one);
    return result.ok ? "planned" : result.problems.map(({ code, field }) => `${code} ${field}`).join();
  };
  const nic = "spec.domain.devices.interfaces[0]";
  assert.equal(codeOf({ nic: passt, features: { userNetworks: [] } }), `PT-PASST-1 ${nic}`);
  const vhost = { "podtap.io/user-network": "vhost-user" };
  assert.match(codeOf({ nic: passt, annotations: vhost }), /^PT-PASST-3 metadata\.annotations/);
  const all = { "podtap.io/inbound": "all" };
  assert.equal(codeOf({ nic: passt, annotations: all, features: { openFiles: 1024 } }), `PT-PASST-2 ${nic}`);
  assert.equal(codeOf({ nic: passt, observed: pod(["fe80::1/64"]) }), `PT-PLAN-2 ${nic}`);
  assert.equal(codeOf({ nic: slirp, features: { builtinUserNetwork: false } }), `PT-SLIRP-1 ${nic}`);
  assert.equal(codeOf({ nic: slirp, observed: pod([]) }), `PT-PLAN-2 ${nic}`);
  const network = (key: string, cidr: string) => codeOf({ nic: slirp, network: { pod: { [key]: cidr } } });
  assert.equal(network("vmNetworkCIDR", "10.0.2.0/30"), "PT-PLAN-1 spec.networks[0].pod.vmNetworkCIDR");
  assert.equal(
    network("vmIPv6NetworkCIDR", "fd10::/120"),
    "PT-PLAN-1 spec.networks[0].pod.vmIPv6NetworkCIDR",
  );
});

function pod(addresses: readonly string[]): Observed {
  return observedPod(addresses, {
    routes: routes.filter(({ gateway }) =>
      addresses.some((address) => address.includes(":") === gateway.includes(":")),
    ),
  });
}

function plan({ observed, nic, network, spec, annotations, features, resolver }: Case) {
  const { masquerade: _, ...bare } = { masquerade: undefined, name: "default" };
  return planPod(
    {
      vmi: vmi({
        ...(annotations && { annotations }),
        ...(network && { network }),
        spec: {
          domain: { devices: { interfaces: [{ ...bare, ...nic }] } },
          ...(network && { networks: [{ name: "default", ...network }] }),
          ...spec,
        },
      }),
      observed: observed ?? pod(DUAL_STACK),
      resolver: resolver ?? RESOLVER,
      host: { ...HOST, features: { ...HOST.features, ...features } },
      queues: 0,
    },
    registry,
  );
}

function golden(name: string, text: string): void {
  const path = new URL(name, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) {
    mkdirSync(new URL(".", path), { recursive: true });
    writeFileSync(path, text);
  }
  assert.equal(text, readFileSync(path, "utf8"));
}
