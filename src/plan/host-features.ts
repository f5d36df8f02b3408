/** What the host's kernel and programs can do: kernels lack things, and a plan takes the best there is. JSON. */
import type { Classifier } from "./plan.ts";

export interface HostFeatures {
  /** A /dev/vhost-net that the launcher may open. */
  readonly vhostNet: boolean;
  readonly dummy: boolean;
  /** Best first; empty: no redirect on this kernel. */
  readonly classifiers: readonly Classifier[];
  /** nft's `netdev` family can hook a link's egress (kernel 5.16). */
  readonly netdevEgress: boolean;
  readonly macvtap: boolean;
}

/** What a distribution's kernel has: for plans that are made without a host to ask. */
export const TYPICAL_FEATURES: HostFeatures = {
  vhostNet: false,
  dummy: true,
  classifiers: ["bpf", "matchall", "u32"],
  netdevEgress: true,
  macvtap: true,
};
