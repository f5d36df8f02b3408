/**
 * An nftables ruleset as data. Rules are nft's own syntax, one rule a string, built only from validated values
 * (addresses, numbers, link names): the text is what people read in the plan and what libnftables is given.
 */

export type NftFamily = "ip" | "ip6" | "inet" | "bridge" | "netdev" | "arp";

export interface NftChain {
  readonly name: string;
  /** Absent for a regular chain. */
  readonly hook?: {
    readonly type: "filter" | "nat" | "route";
    readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting" | "ingress" | "egress";
    readonly priority: number;
    readonly policy?: "accept" | "drop";
    /** netdev only. */
    readonly device?: string;
  };
  readonly rules: readonly string[];
}

/** A named set (no `to`) or map, with interval elements where `interval` says so. */
export interface NftSet {
  readonly name: string;
  /** `inet_proto . inet_service`, `ipv4_addr` … */
  readonly key: string;
  /** Map only: `ipv4_addr`, `verdict` … */
  readonly to?: string;
  readonly interval?: boolean;
  readonly elements: readonly { readonly key: string; readonly value?: string }[];
}

export interface NftCounter {
  readonly name: string;
}

export interface NftTable {
  readonly family: NftFamily;
  /** Begins with `podtap`: that is the mark by which we know our own. */
  readonly name: string;
  readonly counters: readonly NftCounter[];
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

export interface NftTableId {
  readonly family: NftFamily;
  readonly name: string;
}
