/** What was read from a pod's namespace: the only input of planning beside the manifest. JSON types only. */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { NftTableId } from "../nft/model.ts";
import type { BridgePortPlan, Classifier, MacvlanMode } from "./plan.ts";

export interface ObservedLink {
  readonly index: number;
  readonly name: string;
  /** IFLA_INFO_KIND: `veth`, `bridge`, `tun`, `macvlan` …; empty for physical NICs and lo. */
  readonly type: string;
  readonly mac?: Mac;
  readonly mtu: number;
  readonly up: boolean;
  /** Name of the bridge it is a port of. */
  readonly master?: string;
  /** IFLA_IFALIAS; `podtap` (LINK_MARK) on what we made. */
  readonly alias?: string;
  /** In the kernel's order: IPv4 as they were added, then IPv6, global before link-local, newest first. */
  readonly addresses: readonly Cidr[];
  /** Those of `addresses` that the kernel made of a router's advertisements, and takes back when these end. */
  readonly advertised?: readonly Cidr[];
  /** By address: the other end of those that are point to point. */
  readonly peers?: Readonly<Record<Cidr, Ip>>;
  /** Taps only. */
  readonly tap?: { readonly uid: number; readonly multiQueue: boolean };
  /** Bridge ports only. */
  readonly port?: Required<BridgePortPlan>;
  /** veth only: its other end is in another namespace. */
  readonly peerElsewhere?: true;
  /** macvlan and macvtap only; the lower link may be of another namespace. */
  readonly macvlan?: { readonly mode: MacvlanMode };
}

export interface ObservedRoute {
  readonly destination: Cidr;
  readonly gateway?: Ip;
  readonly link: string;
  readonly metric?: number;
  /** RTA_PREFSRC. */
  readonly source?: Ip;
  /** RTNH_F_ONLINK: the gateway need not be in a connected network. */
  readonly onLink?: true;
  /** RTAX_MTU. */
  readonly mtu?: number;
  /** The kernel made it of an address, and makes it anew with it. */
  readonly fromAddress?: true;
  /** A router's advertisement said so, and it ends with these. */
  readonly advertised?: true;
  /** All hops, in order, of the multipath route that this is one of. */
  readonly hops?: readonly RouteHop[];
}

export interface RouteHop {
  readonly gateway?: Ip;
  readonly link: string;
  readonly onLink?: true;
  /** 1 to 256: its share. */
  readonly weight: number;
}

export interface ObservedNeighbour {
  readonly link: string;
  readonly ip: Ip;
  readonly mac: Mac;
  /** Set by somebody, not learned. */
  readonly permanent: boolean;
}

export interface ObservedFdbEntry {
  readonly port: string;
  readonly mac: Mac;
}

export interface ObservedRedirect {
  /** `if7` where the link with that index is gone; the new one of its name has another. */
  readonly to: string;
  readonly classifier: Classifier;
  /** Of the plan it was made from (redirectDigest); empty where filters of the set are missing. */
  readonly digest: string;
}

export interface ObservedNftTable extends NftTableId {
  /** Digest of the kernel's listing without handles and counters. */
  readonly digest: string;
}

export interface Observed {
  readonly links: readonly ObservedLink[];
  readonly routes: readonly ObservedRoute[];
  /** Only keys that were asked for, as under /proc/sys; null where the kernel has no such key. */
  readonly sysctls: Readonly<Record<string, string | null>>;
  /** Tables whose name begins with `podtap`. */
  readonly nft: readonly ObservedNftTable[];
  /** IPv4 and IPv6; permanent ones, and the gateways that answered. */
  readonly neighbours: readonly ObservedNeighbour[];
  /** Static entries only. */
  readonly fdb: readonly ObservedFdbEntry[];
  /** Of links that were asked for; null where we redirect nothing. */
  readonly redirects: Readonly<Record<string, ObservedRedirect | null>>;
}

/** A namespace without anything. */
export const NOTHING_OBSERVED: Observed = {
  links: [],
  routes: [],
  sysctls: {},
  nft: [],
  neighbours: [],
  fdb: [],
  redirects: {},
};
