/**
 * Keeps addressing between podtap and its guest, where podtap's responders sit on the tap: they hear a frame before
 * the bridge does, and what they send is for the guest only. Here the bridge drops the rest of the conversation:
 * questions that would go on to the network, and answers of the network that would reach the guest.
 */
import type { NftChain } from "../../nft/model.ts";
import { PASS_LATER_FRAGMENTS } from "./anti-spoof.ts";

/** `asked_inside`: frames that podtap answered itself. `foreign_dhcp`: of other servers and routers, to the guest. */
export const DHCP_COUNTERS = ["asked_inside", "foreign_dhcp"] as const;

/** @param nic the port to the network */
export function dhcpInside(tap: string, nic: string): NftChain {
  return {
    name: "dhcp_inside",
    // After the filter of forged senders, before br_netfilter.
    hook: { type: "filter", hook: "prerouting", priority: -290, policy: "accept" },
    rules: [
      PASS_LATER_FRAGMENTS,
      `iifname "${tap}" udp dport { 67, 547 } counter name asked_inside drop`,
      `iifname "${tap}" icmpv6 type nd-router-solicit counter name asked_inside drop`,
      `iifname "${nic}" udp dport { 68, 546 } counter name foreign_dhcp drop`,
      `iifname "${nic}" icmpv6 type nd-router-advert counter name foreign_dhcp drop`,
    ],
  };
}
