/** What the host's kernel and programs can do: kernels lack things, and a plan takes the best there is. JSON. */
import type { USER_NETWORK_WAYS } from "../api/annotations.ts";
import type { Classifier } from "./plan.ts";

export interface HostFeatures extends KernelFeatures, ProgramFeatures {}

export interface KernelFeatures {
  /** A /dev/vhost-net that the launcher may open. */
  readonly vhostNet: boolean;
  readonly dummy: boolean;
  /** Best first; empty: no redirect on this kernel. */
  readonly classifiers: readonly Classifier[];
  /** eBPF may redirect to the other end of a veth (kernel 5.10). */
  readonly redirectPeer: boolean;
  /** nft's `netdev` family can hook a link's egress (kernel 5.16). */
  readonly netdevEgress: boolean;
  readonly macvtap: boolean;
}

export interface ProgramFeatures {
  /** Programs that can be a NIC's network without any right. */
  readonly userNetworks: readonly UserNetworkProgram[];
  /** How many files a launcher's programs may have open: a socket a port takes one. */
  readonly openFiles: number;
  /** QEMU was built with a user network of its own. */
  readonly builtinUserNetwork: boolean;
}

export interface UserNetworkProgram {
  readonly program: string;
  /** How QEMU can be joined to it; the first is taken where nobody says. */
  readonly ways: readonly UserNetworkWay[];
}

/**
 * - `vhost-user`: by shared memory, and libvirt starts it;
 * - `backend`: by a stream of frames, and libvirt starts it;
 * - `stream`: the same, and the launcher starts it, which any libvirt and QEMU 7.2 can do.
 */
export type UserNetworkWay = (typeof USER_NETWORK_WAYS)[number];

/** What a distribution's kernel has: for plans that are made without a host to ask. */
export const TYPICAL_FEATURES: HostFeatures = {
  vhostNet: false,
  dummy: true,
  classifiers: ["bpf", "matchall", "u32"],
  redirectPeer: true,
  netdevEgress: true,
  macvtap: true,
  userNetworks: [{ program: "passt", ways: ["stream"] }],
  openFiles: 524_288,
  builtinUserNetwork: true,
};
