/**
 * The contract of a binding: one way of wiring a guest NIC to a pod network. A binding answers every question
 * about itself, pure: values in, values out. Shared code reads traits and never asks for a name.
 */
import type { InterfaceSpec, LabelledAddress, NetworkSpec } from "../api/types.ts";
import type { Ip } from "../base/ip.ts";
import type { WiringNames } from "../base/names.ts";
import type { Problem } from "../base/problem.ts";
import type { Result } from "../base/result.ts";
import type { HostFeatures } from "./host-features.ts";
import type { Observed, ObservedLink, ObservedRoute } from "./observed.ts";
import type { NicPlan } from "./plan.ts";

export interface BindingTraits {
  /** What becomes of the address that CNI gave the pod. */
  readonly podAddress: "kept" | "moved" | "natted" | "shared" | "absent";
  readonly guestAddressing: "podtap" | "network" | "none";
  readonly attaches: "tap" | "macvtap" | "user-network" | "vhost-user" | "host-device" | "sidecar";
  readonly networks: "pod" | "multus" | "any";
  readonly liveMigration: "yes" | "no" | "target-setup";
  /** Annotation of a VMI that lifts a `no`. */
  readonly migrationAnnotation?: string;
  readonly hotplug: boolean;
  /** May `ports`/`portRanges` be declared, and do they restrict what reaches the guest? */
  readonly ports: "allow-list" | "informative";
  /** How a packet travels between guest and network: what it costs. */
  readonly path: "redirected" | "lower-device" | "bridged" | "translated" | "user-space";
  /** The guest is a station of the network's own segment: broadcasts, any EtherType, its own MAC. */
  readonly layer2: boolean;
  /** The pod's own stack still speaks and listens: probes by exec, a service mesh, `kubectl port-forward`. */
  readonly podStack: boolean;
  /** Others reach the guest by IPv4 only. */
  readonly ipv4Inbound?: true;
  /** Works without any root, by `--rootless`. */
  readonly rootless: boolean;
}

/** How CNI makes a network's pod NIC, as far as the network's configuration tells (cluster/local/cni). JSON. */
export interface NetworkAttachment {
  /** Types of the plugins in their order: `["bridge", "tuning"]`. */
  readonly plugins: readonly string[];
  /** The host's link that the first plugin builds on: a macvlan's `master`, a bridge, a `device`. */
  readonly master?: string;
  /** macvlan's and ipvlan's. */
  readonly mode?: string;
  /** Of the host's links that the frames cross, `master` and its ports, the one that carries least. */
  readonly narrowest?: { readonly link: string; readonly mtu: number };
}

/** The manifest's side of a NIC: what `validate` and `podNeeds` may look at. The network's attachment where known. */
export interface NicSpec extends Partial<NetworkAttachment> {
  readonly interface: InterfaceSpec;
  readonly network: NetworkSpec;
  /** KubeVirt path of the interface, `spec.domain.devices.interfaces[0]`. */
  readonly field: string;
  /** KubeVirt path of the network. */
  readonly networkField: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What the pod must have before phase 1. */
export interface PodNeeds {
  /** Additional memory beside the guest's, MiB. */
  readonly memoryMiB: number;
}

/** Facts about the VM that wiring depends on. */
export interface VmFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly hostname: string;
  readonly subdomain?: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** 0: single queue. Otherwise the number of vCPUs, at most 256. */
  readonly queues: number;
  readonly useVirtioTransitional: boolean;
  /** Who opens the tap: 107. */
  readonly runtimeUid: number;
  /** KubeVirt's `status.migrationTransport`; anything but `Unix` keeps the legacy ports free. */
  readonly migrationTransport: string;
  /** How inbound traffic without declared ports is treated, when no annotation says. */
  readonly inbound: "declared" | "all";
  readonly features: HostFeatures;
  /** There is no pod, and nobody has any right: `--rootless`. */
  readonly rootless?: RootlessFacts;
}

/** The pod NIC of a NicContext is then this link of the host's under the name that it would have in a pod. */
export interface RootlessFacts {
  readonly link: string;
  /** Where ports are listened on that no annotation speaks of. */
  readonly listen: Ip;
  /** net.ipv4.ip_unprivileged_port_start. */
  readonly firstPort: number;
}

/** The pod's resolver, as the sandbox wrote it into resolv.conf. */
export interface Resolver {
  readonly nameservers: readonly Ip[];
  readonly searchDomains: readonly string[];
}

/** One NIC, with everything found about it. */
export interface NicContext extends NicSpec {
  readonly vm: VmFacts;
  readonly names: WiringNames;
  /** Position in `spec.domain.devices.interfaces`. */
  readonly index: number;
  /** This NIC gives the guest its default route: the pod network's, else the first that has one. */
  readonly defaultRoute: boolean;
  /** The link that CNI made, `names.podInterface`, as CNI left it. */
  readonly podLink: ObservedLink;
  /** Routes over the pod link. */
  readonly routes: readonly ObservedRoute[];
  readonly resolver: Resolver;
  /** The pod's namespace as CNI left it, before podtap changed anything. */
  readonly observed: Observed;
}

/** What was seen of a NIC while the VM runs. */
export interface NicEvidence {
  /** As the guest agent reports them, link-local left out. */
  readonly agentAddresses: readonly Ip[];
  readonly agentInterface?: string;
  /** Leases that the guest took, by the responders' own account. */
  readonly leased: readonly Ip[];
}

export interface Binding {
  readonly bindingName: string;
  /** How a manifest asks for it: `{ masquerade: {} }`, `{ binding: { name: "tc-redirect" } }`. */
  readonly spelling: Readonly<Record<string, object>>;
  readonly traits: BindingTraits;
  /** Why this host cannot carry it, with what is missing; undefined: it can. */
  lacking(features: HostFeatures): string | undefined;
  /** Configuration that cannot work, beyond the admission rules all bindings share (api/rules). */
  validate(nic: NicSpec): readonly Problem[];
  podNeeds(nic: NicSpec): PodNeeds;
  /** Deterministic; leaves its input untouched. */
  plan(nic: NicContext): Result<NicPlan>;
  /** Every address of the NIC with its owner and source; the first is the one to use from outside. */
  report(plan: NicPlan, seen: NicEvidence): readonly LabelledAddress[];
}

/** Given to the planner by the composition root. `of` finds the binding that an interface asks for. */
export interface BindingRegistry {
  readonly all: readonly Binding[];
  of(nic: InterfaceSpec): Binding | undefined;
}
