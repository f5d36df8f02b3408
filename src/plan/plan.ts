/**
 * Everything podtap decided about one pod's NICs, as a value: JSON types only, so that it can be printed,
 * stored, compared, replayed and undone. Phase 2, status, teardown and repair read the stored plan and never
 * compute it again.
 */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { DomainInterface } from "../domain/interface.ts";
import type { GuestService } from "../guest/config.ts";
import type { NftTable } from "../nft/model.ts";

export interface BridgePlan {
  readonly type: "bridge";
  readonly name: string;
  readonly mac?: Mac;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
  /** What the bridge answers for, with ports' neighbour suppression. */
  readonly neighbours?: readonly NeighbourPlan[];
}

export interface NeighbourPlan {
  readonly ip: Ip;
  readonly mac: Mac;
}

/** Flags of a bridge port (linux/if_link.h, IFLA_BRPORT_*); absent: left as it is. */
export interface BridgePortPlan {
  readonly learning?: boolean;
  /** The bridge answers ARP and ND for neighbours known to be behind this port. */
  readonly neighbourSuppression?: boolean;
}

/** Flags plus the MACs that the bridge is told to find behind the port, where it does not learn. */
export interface PortPlan extends BridgePortPlan {
  readonly staticMacs?: readonly Mac[];
}

/**
 * Every frame that enters the link goes out of another one, but for those that are for the pod itself.
 * tc on the ingress hook: nothing of the pod's stack, nft's ingress hooks included, sees what is redirected.
 */
export interface RedirectPlan {
  readonly to: string;
  /** Best first: eBPF (cls_bpf), matchall, u32; what the host's kernel has. */
  readonly classifier: Classifier;
  /** Left to the pod's stack and packet sockets, not redirected. */
  readonly local: readonly LocalTraffic[];
  /** Only their frames are redirected. What else comes is left too: nft's ingress hook names, counts and drops it. */
  readonly senders?: SenderPlan;
  /**
   * Frames to one station enter the namespace behind `to`, a veth, at its other end, without the queue between the two
   * (bpf_redirect_peer, kernel 5.10). Counters and packet sockets of `to` do not see them, those of its peer do.
   */
  readonly intoPeer?: true;
  readonly shortcut?: ShortcutPlan;
}

/**
 * The redirect stands beside a bridge, which could do its work: what is left here, the bridge carries. Left are, beside
 * what others leave, all frames but IP to one station, and neighbour discovery, which the bridge answers.
 */
export interface ShortcutPlan {
  /** The one station that is behind the other link; absent: any but those of `except`. */
  readonly to?: Mac;
  /** The wiring's own. */
  readonly except?: Mac;
}

/**
 * Who may send, as parts/anti-spoof.ts says it in rules: a frame is redirected if and only if those let it pass.
 */
export interface SenderPlan {
  readonly mac: Mac;
  /** Everything: `0.0.0.0/0`. */
  readonly ipv4: readonly (Ip | Cidr)[];
  /** Beside the unspecified and link-local ones. */
  readonly ipv6: readonly (Ip | Cidr)[];
  /** Addresses that are somebody else's: neither senders nor targets of neighbour advertisements. */
  readonly routers: readonly Ip[];
  /** All that may be claimed by neighbour advertisement beside link-local addresses; absent: anything else. */
  readonly claims?: readonly Ip[];
  /** VLAN tags, and what is neither IPv4, IPv6 nor ARP. */
  readonly otherProtocols: boolean;
}

export type Classifier = "bpf" | "matchall" | "u32";

export type LocalTraffic =
  | { readonly family: 4 | 6; readonly udpDestination: number }
  | { readonly family: 6; readonly icmpType: number };

export interface TapPlan {
  readonly type: "tap";
  readonly name: string;
  readonly mtu: number;
  readonly master?: string;
  /** Who may open it: the launcher. */
  readonly uid: number;
  readonly multiQueue: boolean;
  readonly port?: PortPlan;
  readonly redirect?: RedirectPlan;
}

/** The NIC that CNI made, changed in place and put back at teardown. Found by its index, which no rename changes. */
export interface PodNicPlan {
  readonly type: "pod-nic";
  readonly index: number;
  /** What it is called when all is done. */
  readonly name: string;
  readonly mac?: Mac;
  readonly master?: string;
  readonly port?: PortPlan;
  /** Addresses and routes are taken off it; they are put back at teardown. */
  readonly released: boolean;
  readonly redirect?: RedirectPlan;
}

/** Keeps the pod's name and addresses where CNI CHECK looks for them, without a way in or out: it is never up. */
export interface ParkPlan {
  readonly type: "park";
  readonly name: string;
  readonly kind: ParkKind;
  readonly mac: Mac;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
}

/** `bridge` (one without ports) where the kernel has no dummy. */
export type ParkKind = "dummy" | "bridge";

export interface MacvlanPlan {
  readonly type: "macvlan" | "macvtap";
  readonly name: string;
  readonly lower: string;
  readonly mode: MacvlanMode;
  readonly mac: Mac;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
}

export type MacvlanMode = "bridge" | "private" | "vepa" | "passthru";

export type LinkPlan = BridgePlan | TapPlan | PodNicPlan | ParkPlan | MacvlanPlan;
/** Those that podtap makes and deletes. */
export type OwnLinkPlan = Exclude<LinkPlan, PodNicPlan>;

/**
 * The host's own place beside the guest's link on one device, where macvlan keeps the two apart. Made and undone in the
 * host's namespace (apply/host-link.ts).
 */
export interface HostLinkPlan {
  readonly name: string;
  /** The host's link. */
  readonly lower: string;
  readonly mac: Mac;
  readonly mtu: number;
  /** With whom alone it speaks. */
  readonly guestMac: Mac;
  readonly reaches: readonly Ip[];
}

/**
 * A program beside QEMU that is the NIC's network. The launcher starts it with the launcher's own few rights, passes
 * frames between it and QEMU, and starts it again when it ends.
 *
 * It listens on a Unix socket, speaks QEMU's stream protocol (frames behind a 32-bit length in network order), and
 * ends with its one client.
 */
export interface UserNetworkPlan {
  /** Found in the usual folders. */
  readonly program: string;
  /** `{socket}` stands for the path to listen on. */
  readonly arguments: readonly string[];
  /** QEMU's end, as the domain has it. */
  readonly socket: string;
  /** What the arguments mean, a line each, for people. */
  readonly words: readonly string[];
}

export interface SysctlPlan {
  /** Below /proc/sys: `net/ipv4/ip_forward`. */
  readonly key: string;
  readonly value: string;
}

/** What users and Services may reach, and what the guest and the pod are called. For status and `describe`. */
export interface NicAddresses {
  readonly pod: readonly Ip[];
  readonly guest: readonly Ip[];
}

/** Ports of the host that lead to ports of a guest; `listen` is an address of the host, or `*` for all of them. */
export interface HostPorts {
  readonly protocol: "tcp" | "udp";
  readonly listen: Ip | "*";
  /** The first; as many follow as the guest's have. */
  readonly host: number;
  /** The guest's, inclusive. */
  readonly start: number;
  readonly end: number;
}

export interface NicPlan {
  readonly name: string;
  readonly bindingName: string;
  readonly podInterface: string;
  readonly addresses: NicAddresses;
  readonly mac: Mac;
  readonly macOrigin: "spec" | "derived" | "pod";
  /** In the order they are made; a pod NIC is changed before anything is made, for its name may be taken over. */
  readonly links: readonly LinkPlan[];
  readonly sysctls: readonly SysctlPlan[];
  readonly nft: readonly NftTable[];
  readonly services: readonly GuestService[];
  readonly domain: DomainInterface;
  readonly userNetwork?: UserNetworkPlan;
  readonly hostLink?: HostLinkPlan;
  /** Where there is no pod: the guest is reached by these alone. */
  readonly hostPorts?: readonly HostPorts[];
  /** The link at whose carrier and counters the guest is seen. */
  readonly guestLink: string;
  /** Choices made because of the host or the manifest, for people: "no IPv6: the pod has none". */
  readonly notes: readonly string[];
}

export interface Plan {
  readonly version: 1;
  readonly vmi: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly nics: readonly NicPlan[];
}
