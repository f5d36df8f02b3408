/**
 * The filter at the tap: the guest is hostile, so a frame leaves it only under the addresses that the plan gave
 * it. One bridge-family table a NIC, hooked where the tap's frames enter the bridge; each kind of forgery has its
 * own counter, which status names.
 *
 * Limits: `icmpv6 taddr` is unknown to nft 1.0.6, hence the raw offset of the target address in a neighbour
 * advertisement (RFC 4861, 4.4: 8 bytes into ICMPv6). Kernels without NFT_BRIDGE_META have `iifname` all the same.
 */
import type { Cidr, Ip } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import type { NftTable } from "../../nft/model.ts";

export interface GuestIdentity {
  readonly tap: string;
  /** Suffix of the table's name: the pod interface. */
  readonly podInterface: string;
  readonly mac: Mac;
  /** Source addresses the guest may use, beside IPv6 link-local ones; `any` where the network gives them out. */
  readonly ipv4: readonly (Ip | Cidr)[] | "any";
  readonly ipv6: readonly (Ip | Cidr)[] | "any";
  /** Addresses that the guest may never claim by neighbour advertisement: its router's. */
  readonly routerIpv6: readonly Ip[];
  /**
   * Where others share the segment: all that the guest may claim by neighbour advertisement, beside link-local
   * addresses; and it may not speak as its router.
   */
  readonly claims?: readonly Ip[];
  /** Held to nothing, the MAC neither. */
  readonly unguarded?: true;
}

export const SPOOF_COUNTERS = [
  "spoofed_mac",
  "spoofed_ipv4",
  "spoofed_ipv6",
  "spoofed_router",
  "other_ethertype",
] as const;

export function antiSpoofTable(guest: GuestIdentity): NftTable {
  return {
    family: "bridge",
    name: `podtap-${guest.podInterface}`,
    counters: SPOOF_COUNTERS.map((name) => ({ name })),
    sets: [],
    chains: [
      {
        name: "from_guest",
        // Before br_netfilter (priority 0), which may rewrite what is matched here.
        hook: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
        rules: [`iifname != "${guest.tap}" accept`, ...guardRules(guest)],
      },
    ],
  };
}

/**
 * For family bridge and netdev, where nft (kernel 6.18) looks for ports in every IPv4 fragment: what the middle of a
 * datagram says by chance is no port. IPv6 is right as it is.
 */
export const PASS_LATER_FRAGMENTS = "ip frag-off & 0x1fff != 0 accept";

/** For a chain that sees nothing but what the guest sends. Where its frames do not cross a bridge, family netdev. */
export function guardRules(guest: GuestIdentity): readonly string[] {
  if (guest.unguarded) return [];
  return [
    `ether saddr != ${guest.mac} ${drop("spoofed_mac")}`,
    // Anything else could carry IP past the rules below: VLAN tags, PPPoE, LLDP to a shared segment.
    ...(guest.ipv4 === "any" && guest.ipv6 === "any"
      ? []
      : [`ether type != { ip, ip6, arp } ${drop("other_ethertype")}`]),
    `arp saddr ether != ${guest.mac} ${drop("spoofed_mac")}`,
    ...ipv4Rules(guest),
    PASS_LATER_FRAGMENTS,
    `udp sport { 67, 547 } ${drop("spoofed_router")}`,
    `icmpv6 type { nd-router-advert, nd-redirect } ${drop("spoofed_router")}`,
    ...claimRules(guest),
    ...(guest.ipv6 === "any"
      ? []
      : [`ip6 saddr != ${anyOf("::", "fe80::/64", ...guest.ipv6)} ${drop("spoofed_ipv6")}`]),
  ];
}

function ipv4Rules({ ipv4 }: GuestIdentity): readonly string[] {
  if (ipv4 === "any") return [];
  return [
    `arp saddr ip != ${anyOf("0.0.0.0", ...ipv4)} ${drop("spoofed_ipv4")}`,
    // A DHCP client speaks before it has an address (RFC 2131, 4.1).
    "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
    `ip saddr != ${ipv4.length === 0 ? "0.0.0.0" : anyOf(...ipv4)} ${drop("spoofed_ipv4")}`,
  ];
}

/** Neighbour advertisements, whose target counts and not their sender; and solicitations, whose sender counts. */
function claimRules({ routerIpv6: routers, claims }: GuestIdentity): readonly string[] {
  const advert = "icmpv6 type nd-neighbor-advert";
  const other = claims?.length === 0 ? "" : ` @th,64,128 != ${anyOf(...(claims ?? []).map(toHex))}`;
  return [
    ...(routers.length > 0
      ? [`${advert} @th,64,128 ${anyOf(...routers.map(toHex))} ${drop("spoofed_router")}`]
      : []),
    ...(claims === undefined
      ? []
      : [
          ...(routers.length > 0 ? [`ip6 saddr ${anyOf(...routers)} ${drop("spoofed_router")}`] : []),
          `${advert} @th,64,64 != 0xfe80000000000000${other} ${drop("spoofed_ipv6")}`,
        ]),
  ];
}

function drop(counter: (typeof SPOOF_COUNTERS)[number]): string {
  return `counter name ${counter} drop`;
}

/** One value without the set that the kernel would have to make for it. */
function anyOf(...values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? "") : `{ ${values.join(", ")} }`;
}
/** The raw payload expression takes a number. */
function toHex(ip: Ip): string {
  const groups = expand(ip).map((group) => group.padStart(4, "0"));
  return `0x${groups.join("")}`;
}

function expand(ip: Ip): string[] {
  const [head = "", tail] = ip.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  return tail === undefined
    ? left
    : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
}
