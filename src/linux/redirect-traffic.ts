/** Numbers and addresses that both kinds of classifier know traffic by: `redirect-program.ts`, `redirect-rules.ts`. */
import { type Cidr, cidrIp, cidrPrefix, type Ip, ipToBytes, toCidr } from "../base/ip.ts";
import type { LocalTraffic } from "../plan/plan.ts";
import { u32 } from "../wire/bytes.ts";

export const IPV4 = 0x0800;
export const ARP = 0x0806;
export const IPV6 = 0x86dd;
/** IP protocols and IPv6 next headers (IANA's protocol-numbers). */
export const UDP = 17;
export const ICMPV6 = 58;
export const HOP_BY_HOP = 0;
export const FRAGMENT = 44;
/** Routing, destination options, mobility, HIP, shim6. */
export const EXTENSION_HEADERS = [43, 60, 135, 139, 140] as const;
/** Query, report, done, report of version 2. */
export const LISTENER_REPORTS = [130, 131, 132, 143] as const;
/** Router advertisement and redirect: what only routers send. */
export const ROUTER_MESSAGES = [134, 137] as const;
export const NEIGHBOUR_ADVERT = 136;
/** RFC 4861, 4: solicitations, advertisements and redirects, of routers and neighbours. */
export const NEIGHBOUR_DISCOVERY = [133, 134, 135, 136, 137].map(
  (icmpType): LocalTraffic => ({ family: 6, icmpType }),
);
export const LINK_LOCAL = "fe80::/64" as Cidr;
/** DHCPv4's and DHCPv6's: what only servers send from. */
export const SERVER_PORTS = [67, 547] as const;

/** All as prefixes; IPv6 with what every host may send from: nothing yet, and its link-local addresses. */
export function sourcesOf(family: 4 | 6, sources: readonly (Ip | Cidr)[]): readonly Cidr[] {
  const always = family === 6 ? ["::/128" as Cidr, LINK_LOCAL] : [];
  const whole = family === 6 ? 128 : 32;
  return [...always, ...sources.map((one) => (one.includes("/") ? (one as Cidr) : toCidr(one as Ip, whole)))];
}

/** The words of a prefix that have to be compared; none for everything. */
export function maskedWords(
  prefix: Cidr,
): readonly { readonly at: number; readonly mask: number; readonly value: number }[] {
  const bytes = ipToBytes(cidrIp(prefix));
  const length = cidrPrefix(prefix);
  return Array.from({ length: bytes.length / 4 }, (_, i) => {
    const bits = Math.min(Math.max(length - i * 32, 0), 32);
    const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
    return { at: i * 4, mask, value: (u32(bytes, i * 4) & mask) >>> 0 };
  }).filter(({ mask }) => mask !== 0);
}
