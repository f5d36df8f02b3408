/**
 * The rules beside the redirects, one netdev table a NIC. What tc redirects meets none of them: they see what the
 * classifiers left, and drop it by kind.
 *
 *   guest ─▶ tap ─▶ tc ─▶ pod NIC ─▶ network          network ─▶ pod NIC ─▶ tc ─▶ tap ─▶ guest
 *                   └▶ [from_guest]: forged, or ours                       └▶ [to_pod]: the pod's own DHCP
 *   pod's stack ─▶ [from_pod] ─╳  would speak with the guest's addresses
 *
 * While redirects are missing or being replaced the same rules keep guest, pod and network apart.
 */
import type { NftChain, NftTable } from "../../nft/model.ts";
import { type GuestIdentity, guardRules, SPOOF_COUNTERS } from "../../plan/parts/anti-spoof.ts";
import { DHCP_COUNTERS } from "../../plan/parts/dhcp-inside.ts";
import type { LocalTraffic } from "../../plan/plan.ts";

export interface LeftTraffic {
  readonly guest: GuestIdentity;
  /** On the tap: for podtap's responders, which have heard it by then. */
  readonly asked: readonly LocalTraffic[];
  /** On the pod NIC: for the pod, and not for the guest. */
  readonly foreign: readonly LocalTraffic[];
  /** The kernel can hook a link's egress. */
  readonly egress: boolean;
}

/** Honest frames that no filter took, and frames of the pod's own stack. */
export const LEFT_COUNTERS = ["not_redirected", "pod_silenced"] as const;

export function redirectTable({ guest, asked, foreign, egress }: LeftTraffic): NftTable {
  const { tap, podInterface } = guest;
  return {
    family: "netdev",
    name: `podtap-${podInterface}`,
    counters: [...SPOOF_COUNTERS, ...DHCP_COUNTERS, ...LEFT_COUNTERS].map((name) => ({ name })),
    sets: [],
    chains: [
      chain("from_guest", "ingress", tap, [
        ...guardRules(guest),
        ...asked.map((traffic) => `${matchOf(traffic)} counter name asked_inside drop`),
        "counter name not_redirected drop",
      ]),
      chain("to_pod", "ingress", podInterface, [
        ...foreign.map((traffic) => `${matchOf(traffic)} counter name foreign_dhcp accept`),
        "counter name not_redirected drop",
      ]),
      ...(egress
        ? [
            chain("from_pod", "egress", podInterface, [
              // CNI's dhcp plugin renews the pod's lease from here.
              "udp dport { 67, 547 } accept",
              "counter name pod_silenced drop",
            ]),
          ]
        : []),
    ],
  };
}

function matchOf(traffic: LocalTraffic): string {
  if ("icmpType" in traffic) return `icmpv6 type ${traffic.icmpType}`;
  return `meta protocol ${traffic.family === 4 ? "ip" : "ip6"} udp dport ${traffic.udpDestination}`;
}

function chain(name: string, hook: "ingress" | "egress", device: string, rules: readonly string[]): NftChain {
  return { name, hook: { type: "filter", hook, device, priority: 0, policy: "accept" }, rules };
}
