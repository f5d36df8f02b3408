/**
 * The rules around a macvtap, one netdev table a NIC.
 *
 *   guest ─▶ tap0 ─▶[from_guest]─┬─▶ k6t-eth0 [at_door] ─▶ responders
 *                                └─▶ network
 *   guest ◀─ tap0 ◀─[to_guest]◀──┬── k6t-eth0 [from_door] ◀─ responders
 *                                └── network           pod's own stack ─▶ eth0-nic [from_pod] ─✗
 *
 * What QEMU writes leaves the macvtap by its egress hook (drivers/net/tap.c, tap_get_user calls dev_queue_xmit), before
 * macvlan looks where it goes: the guard is there, whatever the macvtap sits on, siblings on the same device included.
 * What arrives passes its ingress hook before the queue that QEMU reads.
 */
import type { Mac } from "../../base/mac.ts";
import type { NftChain, NftTable } from "../../nft/model.ts";
import { type GuestIdentity, guardRules, SPOOF_COUNTERS } from "../../plan/parts/anti-spoof.ts";
import { DHCP_COUNTERS } from "../../plan/parts/dhcp-inside.ts";

/** The pod's own frames. */
const POD_SILENCED = "pod_silenced";

export interface Door {
  /** The sibling that the responders sit on. */
  readonly link: string;
  readonly mac: Mac;
  /** Whom the guest may hear as server and router. */
  readonly speakers: readonly Mac[];
}

export interface Surroundings {
  readonly guest: GuestIdentity;
  /** The pod NIC, when all is done. */
  readonly podNic: string;
  /** The pod NIC has a MAC of its own, by which its own frames are told from the guest's. */
  readonly podNicMac?: Mac;
  readonly door?: Door;
}

export function macvtapTable({ guest, podNic, podNicMac, door }: Surroundings): NftTable {
  return {
    family: "netdev",
    name: `podtap-${guest.podInterface}`,
    counters: [...SPOOF_COUNTERS, ...(podNicMac ? [POD_SILENCED] : []), ...(door ? DHCP_COUNTERS : [])].map(
      (name) => ({ name }),
    ),
    sets: [],
    chains: [
      chain("from_guest", "egress", guest.tap, [...(door ? askInside(door) : []), ...guardRules(guest)]),
      // The pod's own stack is mute: it would speak in the guest's name.
      ...(podNicMac
        ? [
            chain("from_pod", "egress", podNic, [
              `ether saddr ${podNicMac} counter name ${POD_SILENCED} drop`,
            ]),
          ]
        : []),
      ...(door ? doorChains(guest, door) : []),
    ],
  };
}

/** nft (kernel 6.18) looks for ports in later fragments of IPv4, too, where anything may stand. */
function dhcp4(port: number): string {
  return `ip frag-off & 0x1fff == 0 udp dport ${port}`;
}

function dhcp6(port: number): string {
  return `meta protocol ip6 udp dport ${port}`;
}

/**
 * What is asked by broadcast, or of an address that nobody has, goes to the sibling and nowhere else: macvlan hands
 * over by MAC. Only the destination is changed, so the guard sees the rest as it was.
 */
function askInside({ mac }: Door): readonly string[] {
  const inside = `counter name asked_inside ether daddr set ${mac}`;
  return [`${dhcp4(67)} ${inside}`, `${dhcp6(547)} ${inside}`, `icmpv6 type nd-router-solicit ${inside}`];
}

function doorChains({ tap, mac }: GuestIdentity, { link, speakers }: Door): readonly NftChain[] {
  const foreign = `ether saddr != { ${speakers.join(", ")} }`;
  return [
    chain("to_guest", "ingress", tap, [
      `${foreign} ${dhcp4(68)} counter name foreign_dhcp drop`,
      `${foreign} ${dhcp6(546)} counter name foreign_dhcp drop`,
      `${foreign} icmpv6 type nd-router-advert counter name foreign_dhcp drop`,
    ]),
    // Router advertisements are for all, and here "all" would be the whole network.
    chain("from_door", "egress", link, [`ether daddr set ${mac}`]),
    // Other guests ask by broadcast, too.
    chain("at_door", "ingress", link, [
      `ether saddr != ${mac} drop`,
      "udp dport { 67, 547 } accept",
      "icmpv6 type nd-router-solicit accept",
      "drop",
    ]),
  ];
}

function chain(name: string, hook: "ingress" | "egress", device: string, rules: readonly string[]): NftChain {
  return { name, hook: { type: "filter", hook, device, priority: 0, policy: "accept" }, rules };
}
