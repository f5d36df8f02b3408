/** Plans of bridge and managed-tap against golden text, for the networks that CNI plugins make. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { InterfaceSpec, NetworkSpec, Vmi } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import { TYPICAL_FEATURES } from "../../src/plan/host-features.ts";
import { NOTHING_OBSERVED, type Observed, type ObservedRoute } from "../../src/plan/observed.ts";
import { type PlanInput, planPod } from "../../src/plan/planner.ts";
import { renderPlan } from "../../src/plan/render-text.ts";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../support/builders.ts";

const ROUTER_MAC = "ee:ee:ee:00:00:01" as Mac;

interface Case {
  readonly name: string;
  readonly observed: Observed;
  readonly nics?: readonly Partial<InterfaceSpec>[];
  readonly networks?: readonly NetworkSpec[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly more?: Partial<PlanInput>;
}

function route(destination: string, gateway?: string, more: Partial<ObservedRoute> = {}): ObservedRoute {
  return {
    destination: destination as Cidr,
    ...(gateway && { gateway: gateway as Ip }),
    link: "eth0",
    ...more,
  };
}

/** The bridge plugin's: a shared segment with its router in it. */
const segment = [
  route("10.244.1.0/24", undefined, { fromAddress: true }),
  route("0.0.0.0/0", "10.244.1.1"),
  route("10.96.0.0/12", "10.244.1.1"),
  route("fd00:10:244:1::/64", undefined, { fromAddress: true }),
  route("::/0", "fd00:10:244:1::1"),
];
const router = ["fd00:10:244:1::1", "fe80::ecee:eeff:fe00:1"].map((ip) => ({
  link: "eth0",
  ip: ip as Ip,
  mac: ROUTER_MAC,
  permanent: false,
}));
const dualStack = observedPod(DUAL_STACK, { routes: segment, neighbours: router });
const ofFamily = (family: 4 | 6): readonly ObservedRoute[] =>
  segment.filter(({ destination }) => destination.includes(":") === (family === 6));

const pod: NetworkSpec = { name: "default", pod: {} };
const secondary: NetworkSpec = { name: "blue", multus: { networkName: "blue" } };
const BLUE = "pod16477688c0e";

/** eth0 without, blue with addresses of its own. */
function twoLinks(blue: readonly string[], routes: readonly ObservedRoute[]): Observed {
  const base = observedPod(["10.244.1.7/24"], { routes: [...ofFamily(4), ...routes] });
  const mac = "0a:58:0a:f4:01:08" as Mac;
  return { ...base, links: [...base.links, podLink(blue, { index: 3, name: BLUE, mac, mtu: 9000 })] };
}

const bridgeCases: readonly Case[] = [
  { name: "dual-stack", observed: dualStack },
  { name: "ipv4-only", observed: observedPod(["10.244.1.7/24"], { routes: ofFamily(4) }) },
  {
    name: "ipv6-only",
    observed: observedPod(["fd00:10:244:1::7/64"], { routes: ofFamily(6), neighbours: router }),
  },
  {
    name: "ipv6-link-local-gateway",
    observed: observedPod(["fd00:10:244:1::7/128"], { routes: [route("::/0", "fe80::1")] }),
  },
  {
    name: "ipv6-router-without-link-local",
    observed: observedPod(["fd00:10:244:1::7/64"], { routes: ofFamily(6), neighbours: router.slice(0, 1) }),
  },
  {
    name: "ipv6-silent-gateway",
    observed: observedPod(["fd00:10:244:1::7/64"], { routes: ofFamily(6) }),
  },
  { name: "no-address", observed: observedPod([]) },
  {
    name: "calico",
    observed: observedPod(["10.244.1.7/32", "fd00:10:244:1::7/128"], {
      routes: [
        route("169.254.1.1/32"),
        route("0.0.0.0/0", "169.254.1.1"),
        route("::/0", "fe80::ecee:eeff:feee:eeee"),
      ],
      neighbours: [
        {
          link: "eth0",
          ip: "fe80::ecee:eeff:feee:eeee" as Ip,
          mac: "ee:ee:ee:ee:ee:ee" as Mac,
          permanent: false,
        },
      ],
    }),
  },
  {
    // AWS's VPC plugin writes the gateway into the pod's neighbour table, and nothing answers for it.
    name: "onlink-gateway",
    observed: observedPod(["10.0.1.5/32"], {
      routes: [route("0.0.0.0/0", "169.254.1.1", { onLink: true })],
      neighbours: [{ link: "eth0", ip: "169.254.1.1" as Ip, mac: ROUTER_MAC, permanent: true }],
    }),
  },
  {
    name: "point-to-point",
    observed: observedPod(["10.1.1.2/24"], {
      routes: [
        route("0.0.0.0/0", "10.1.1.1"),
        route("10.1.1.0/24", "10.1.1.1", { source: "10.1.1.2" as Ip }),
        route("10.1.1.1/32", undefined, { source: "10.1.1.2" as Ip }),
      ],
    }),
  },
  {
    name: "secondary",
    observed: twoLinks(
      ["10.5.0.9/16"],
      [
        route("10.5.0.0/16", undefined, { link: BLUE, fromAddress: true }),
        route("10.6.0.0/16", "10.5.0.1", { link: BLUE }),
        route("0.0.0.0/0", "10.5.0.1", { link: BLUE, metric: 100 }),
      ],
    ),
    nics: [{ name: "default" }, { name: "blue" }],
    networks: [pod, secondary],
  },
  {
    name: "secondary-without-ipam",
    observed: twoLinks([], []),
    nics: [{ name: "default" }, { name: "blue" }],
    networks: [pod, secondary],
  },
  {
    // Its own kernel made itself an address by a router's advertisements, and routes.
    name: "advertised-beside-cni",
    observed: observedPod([], {
      links: [
        podLink(["fdbe::858:aff:fef4:107/64", "fd00:10:244:1::7/64"], {
          advertised: ["fdbe::858:aff:fef4:107/64" as Cidr],
        }),
      ],
      routes: [
        route("fd00:10:244:1::/64", undefined, { fromAddress: true }),
        route("fdbe::/64", undefined, { fromAddress: true, advertised: true }),
        route("fd77::/48", "fe80::ecee:eeff:fe00:1", { advertised: true }),
        route("::/0", "fe80::ecee:eeff:fe00:1", { advertised: true }),
      ],
      neighbours: router.slice(1),
    }),
  },
  { name: "dhcp-external", observed: dualStack, annotations: { "podtap.io/dhcp": "external" } },
  {
    name: "options",
    observed: dualStack,
    nics: [
      {
        name: "default",
        macAddress: "de:ad:00:00:be:af",
        bootOrder: 1,
        dhcpOptions: {
          bootFileName: "pxe.0",
          tftpServerName: "10.0.0.9",
          ntpServers: ["10.0.0.8"],
          privateOptions: [{ option: 240, value: "x" }],
        },
      },
    ],
    more: { queues: 4 },
  },
  {
    name: "no-dummy-no-br-netfilter",
    observed: { ...dualStack, sysctls: { "net/ipv6/conf/eth0/accept_ra": "0" } },
    more: { host: { ...HOST, features: { ...TYPICAL_FEATURES, dummy: false } } },
  },
];

const managedTapCases: readonly Case[] = [
  { name: "dual-stack", observed: dualStack },
  { name: "no-address", observed: observedPod([]) },
];

for (const [folder, spelling, cases] of [
  ["bridge", { bridge: {} }, bridgeCases],
  ["managed-tap", { binding: { name: "managed-tap" } }, managedTapCases],
] as const) {
  for (const one of cases) {
    test(`${folder}/${one.name}`, () => {
      const input = inputOf(one, spelling);
      const before = structuredClone(input);
      const result = planPod(input, registry);
      assert.ok(result.ok, JSON.stringify(result));
      assert.deepEqual(input, before, "planning leaves its input untouched");
      assert.deepEqual(JSON.parse(JSON.stringify(result.value)), result.value, "a plan survives JSON");
      golden(`${folder}/${one.name}.txt`, renderPlan(result.value, { rules: true }));
    });
  }
}

test("managedtap, KubeVirt's spelling, means managed-tap", () => {
  const spelled = (name: string): string => {
    const result = planPod(inputOf({ name: "", observed: dualStack }, { binding: { name } }), registry);
    assert.ok(result.ok);
    return renderPlan(result.value);
  };
  assert.equal(spelled("managedtap"), spelled("managed-tap"));
});

test("links that cannot be bridged are refused with the alternative", () => {
  for (const type of ["macvlan", "ipvlan"]) {
    const observed = { ...NOTHING_OBSERVED, links: [podLink(["10.244.1.7/24"], { type })] };
    const result = planPod(inputOf({ name: "", observed }, { bridge: {} }), registry);
    assert.ok(!result.ok);
    assert.equal(result.problems[0]?.code, "PT-BRIDGE-1");
    assert.match(result.problems[0]?.message ?? "", new RegExp(type));
    assert.match(result.problems[0]?.hint ?? "", /tc-redirect/);
  }
});

test("a link without MAC is refused, unless the manifest names one", () => {
  const { mac: _, ...tun } = podLink(["10.244.1.7/24"], { type: "tun" });
  const observed = { ...NOTHING_OBSERVED, links: [tun] };
  const plan = (nic: Partial<InterfaceSpec>) =>
    planPod(inputOf({ name: "", observed, nics: [{ name: "default", ...nic }] }, { bridge: {} }), registry);
  const refused = plan({});
  assert.ok(!refused.ok);
  assert.equal(refused.problems[0]?.code, "PT-BRIDGE-1");
});

test("validate knows by the plugins alone, before there is a pod", () => {
  const nic = {
    interface: { name: "blue" },
    network: secondary,
    field: "f",
    networkField: "n",
    annotations: {},
  };
  for (const binding of registry.all.filter(({ bindingName }) =>
    ["bridge", "managed-tap"].includes(bindingName),
  )) {
    assert.deepEqual(binding.validate({ ...nic, plugins: ["bridge", "tuning"] }), []);
    assert.equal(binding.validate({ ...nic, plugins: ["macvlan"] })[0]?.code, "PT-BRIDGE-1");
    assert.equal(
      binding.validate({ ...nic, plugins: ["host-device"], master: "wlp3s0" })[0]?.code,
      "PT-BRIDGE-1",
    );
    assert.deepEqual(binding.validate({ ...nic, plugins: ["host-device"], master: "enp3s0" }), []);
  }
});

test("the guest's addresses are reported by who confirms them", () => {
  const report = (spelling: object, annotations = {}) => {
    const result = planPod(inputOf({ name: "", observed: dualStack, annotations }, spelling), registry);
    assert.ok(result.ok);
    const [plan] = result.value.nics;
    const binding = registry.all.find(({ bindingName }) => bindingName === plan?.bindingName);
    return (seen: { agent?: readonly string[]; leased?: readonly string[] }): readonly string[] =>
      (
        plan &&
        binding?.report(plan, {
          agentAddresses: (seen.agent ?? []) as Ip[],
          leased: (seen.leased ?? []) as Ip[],
        })
      )?.map(({ ip, owner, source }) => `${ip} ${owner} ${source}`) ?? [];
  };
  const [v4, v6] = ["10.244.1.7", "fd00:10:244:1::7"];
  const served = report({ bridge: {} });
  assert.deepEqual(served({}), [`${v4} guest cni`, `${v6} guest cni`]);
  assert.deepEqual(served({ leased: [v4], agent: [v6, "10.9.9.9"] }), [
    `${v4} guest dhcp`,
    `${v6} guest guest-agent`,
    "10.9.9.9 guest guest-agent",
  ]);
  const left = report({ bridge: {} }, { "podtap.io/dhcp": "external" });
  assert.deepEqual(left({}), [`${v4} pod cni`, `${v6} pod cni`]);
  assert.deepEqual(left({ agent: ["192.0.2.9"] }), ["192.0.2.9 guest guest-agent", `${v6} pod cni`]);
});

function inputOf(
  { observed, annotations = {}, nics = [{ name: "default" }], networks = [pod], more = {} }: Case,
  spelling: object,
): PlanInput {
  const interfaces = nics.map((nic) => ({ name: "default", ...nic, ...spelling })) as InterfaceSpec[];
  const spec: Vmi["spec"] = { domain: { devices: { interfaces } }, networks };
  return { vmi: vmi({ annotations, spec }), observed, resolver: RESOLVER, host: HOST, queues: 0, ...more };
}

function golden(path: string, actual: string): void {
  const file = new URL(path, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, "utf8"));
}
