/** Values for tests: defaults in one place, so that a test shows only what matters to it. */
import type { InterfaceSpec, NetworkSpec, Vmi, VmiSpec } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { TYPICAL_FEATURES } from "../../src/plan/host-features.ts";
import { NOTHING_OBSERVED, type Observed, type ObservedLink } from "../../src/plan/observed.ts";
import type { HostFacts } from "../../src/plan/planner.ts";

export const HOST: HostFacts = { runtimeUid: 107, features: TYPICAL_FEATURES, inbound: "declared" };

export const RESOLVER = {
  nameservers: ["10.96.0.10" as Ip, "fd00:96::a" as Ip],
  searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
};

export interface VmiParts {
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly nic?: Partial<InterfaceSpec>;
  readonly network?: Partial<NetworkSpec>;
  readonly spec?: Partial<VmiSpec>;
  readonly status?: Vmi["status"];
}

/** One masquerade NIC named `default` on the pod network, unless said otherwise. */
export function vmi(parts: VmiParts = {}): Vmi {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: {
      name: parts.name ?? "web",
      namespace: "default",
      uid: "8c7f0e3a-0000-4000-8000-000000000001",
      annotations: parts.annotations ?? {},
    },
    spec: {
      domain: {
        devices: { interfaces: [{ name: "default", masquerade: {}, ...parts.nic }] },
        memory: { guest: "256Mi" },
      },
      networks: [{ name: "default", pod: {}, ...parts.network }],
      ...parts.spec,
    },
    ...(parts.status && { status: parts.status }),
  };
}

export function podLink(addresses: readonly string[], more: Partial<ObservedLink> = {}): ObservedLink {
  return {
    index: 2,
    name: "eth0",
    type: "veth",
    peerElsewhere: true,
    mac: "0a:58:0a:f4:01:07" as Mac,
    mtu: 1450,
    up: true,
    addresses: addresses as readonly Cidr[],
    ...more,
  };
}

/** A pod's namespace as CNI leaves it. */
export function observedPod(addresses: readonly string[], more: Partial<Observed> = {}): Observed {
  return {
    ...NOTHING_OBSERVED,
    links: [
      {
        index: 1,
        name: "lo",
        type: "",
        mtu: 65536,
        up: true,
        addresses: ["127.0.0.1/8" as Cidr, "::1/128" as Cidr],
      },
      podLink(addresses),
    ],
    routes: [],
    sysctls: {
      "net/bridge/bridge-nf-call-iptables": "1",
      "net/bridge/bridge-nf-call-ip6tables": "1",
      "net/ipv6/conf/eth0/accept_ra": "0",
    },
    nft: [],
    ...more,
  };
}

export const DUAL_STACK = ["10.244.1.7/24", "fd00:10:244:1::7/64", "fe80::858:aff:fef4:107/64"];
