/** What was read from a pod's namespace: the only input of planning beside the manifest. JSON types only. */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { NftTableId } from "../nft/model.ts";

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
  readonly addresses: readonly Cidr[];
  /** Taps only. */
  readonly tap?: { readonly uid: number; readonly multiQueue: boolean };
}

export interface ObservedRoute {
  readonly destination: Cidr;
  readonly gateway?: Ip;
  readonly link: string;
  readonly metric?: number;
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
}
