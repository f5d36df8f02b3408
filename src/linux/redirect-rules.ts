/**
 * A redirect as u32 filters, for kernels without eBPF classifiers: the first that matches decides.
 *
 * Theory of operation. A u32 filter compares words of the frame at fixed offsets. Filters are asked by priority, and
 * within one in the order they were added; one without an action leaves the frame to the stack, as one that no filter
 * matches is left. So what is to be left comes first, then who may send.
 *
 * Limit beside those of `redirect-program.ts`: a UDP header behind IPv4 options has no fixed place. Where senders are
 * named such datagrams are left, where none are they are redirected.
 */
import { type Cidr, cidrPrefix, type Ip, ipToBytes, toCidr } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import type { LocalTraffic, RedirectPlan, SenderPlan } from "../plan/plan.ts";
import { u16, u32 } from "../wire/bytes.ts";
import { ETH_P_ALL, type U32Key } from "../wire/netlink-tc.ts";
import {
  ARP,
  EXTENSION_HEADERS,
  FRAGMENT,
  HOP_BY_HOP,
  ICMPV6,
  IPV4,
  IPV6,
  LINK_LOCAL,
  LISTENER_REPORTS,
  maskedWords,
  NEIGHBOUR_ADVERT,
  ROUTER_MESSAGES,
  SERVER_PORTS,
  sourcesOf,
  UDP,
} from "./redirect-traffic.ts";

export interface RedirectRule {
  /** EtherType, or ETH_P_ALL. */
  readonly protocol: number;
  /** None: everything. */
  readonly keys: readonly U32Key[];
  readonly redirect: boolean;
}

type Keys = readonly U32Key[];

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const FRAGMENT_HEADER = 8;

export function redirectRules({
  local,
  senders,
}: Pick<RedirectPlan, "local" | "senders">): readonly RedirectRule[] {
  return [
    ...leave(
      IPV4,
      portsOf(local, 4, senders).map((port) => [...PLAIN_UDP, ...port(IPV4_HEADER)]),
    ),
    ...leave(IPV6, leftOfIpv6(local, senders)),
    ...(senders === undefined
      ? [{ protocol: ETH_P_ALL, keys: [], redirect: true }]
      : [...ipv4(senders), ...ipv6(senders), ...arp(senders), ...others(senders)]),
  ];
}

/** UDP without IPv4 options, the first fragment or the only one. */
const PLAIN_UDP: Keys = [byte(0, 0x45), half(6, 0, 0x1fff), byte(9, UDP)];

function ipv4(senders: SenderPlan): readonly RedirectRule[] {
  const honest = sourcesOf(4, senders.ipv4).map((source) => [
    ...macKeys(-8, senders.mac),
    ...sourceKeys(12, source),
  ]);
  const udp = [byte(9, UDP)];
  return [
    ...send(
      IPV4,
      honest.map((keys) => [byte(0, 0x45), ...udp, ...keys]),
    ),
    ...leave(IPV4, [udp]),
    ...send(IPV4, honest),
  ];
}

function ipv6(senders: SenderPlan): readonly RedirectRule[] {
  const honest = sourcesOf(6, senders.ipv6).map((source) => [
    ...macKeys(-8, senders.mac),
    ...sourceKeys(8, source),
  ]);
  const reports = LISTENER_REPORTS.map((type) => [
    byte(6, HOP_BY_HOP),
    half(IPV6_HEADER, ICMPV6 << 8),
    byte(IPV6_HEADER + 8, type),
  ]);
  const advert = [byte(6, ICMPV6), byte(IPV6_HEADER, NEIGHBOUR_ADVERT)];
  const claims = senders.claims && [LINK_LOCAL, ...senders.claims.map((ip) => toCidr(ip, 128))];
  const each = (matches: readonly Keys[]): readonly RedirectRule[] =>
    send(
      IPV6,
      matches.flatMap((match) => honest.map((keys) => [...match, ...keys])),
    );
  return [
    ...each(reports),
    ...leave(
      IPV6,
      [HOP_BY_HOP, ...EXTENSION_HEADERS].map((header) => [byte(6, header)]),
    ),
    ...(claims === undefined
      ? []
      : [
          ...each(claims.map((claim) => [...advert, ...sourceKeys(IPV6_HEADER + 8, claim)])),
          ...leave(IPV6, [advert]),
        ]),
    ...send(IPV6, honest),
  ];
}

/** With the header straight behind IPv6's, and in a first fragment. */
function leftOfIpv6(local: readonly LocalTraffic[], senders: SenderPlan | undefined): readonly Keys[] {
  const first = half(IPV6_HEADER + 2, 0, 0xfff8);
  const fragment = (header: number): Keys => [byte(6, FRAGMENT), byte(IPV6_HEADER, header), first];
  const within = (header: number, keys: (at: number) => Keys): readonly Keys[] => [
    [byte(6, header), ...keys(IPV6_HEADER)],
    [...fragment(header), ...keys(IPV6_HEADER + FRAGMENT_HEADER)],
  ];
  const types = [
    ...local.flatMap((one) => ("icmpType" in one ? [one.icmpType] : [])),
    ...(senders === undefined ? [] : ROUTER_MESSAGES),
  ];
  const hidden = senders === undefined ? [] : [HOP_BY_HOP, FRAGMENT, ...EXTENSION_HEADERS];
  return [
    ...(senders?.routers ?? []).map((router) => addressKeys(8, router)),
    ...portsOf(local, 6, senders).flatMap((port) => within(UDP, port)),
    ...types.flatMap((type) => within(ICMPV6, (at) => [byte(at, type)])),
    ...(senders?.routers ?? []).flatMap((router) =>
      within(ICMPV6, (at) => [byte(at, NEIGHBOUR_ADVERT), ...addressKeys(at + 8, router)]),
    ),
    ...hidden.map(fragment),
    // No host takes one in a fragment (RFC 6980).
    ...(senders?.claims === undefined
      ? []
      : [[...fragment(ICMPV6), byte(IPV6_HEADER + FRAGMENT_HEADER, NEIGHBOUR_ADVERT)]]),
  ];
}

function arp({ mac, ipv4: sources }: SenderPlan): readonly RedirectRule[] {
  const claims = sourcesOf(4, ["0.0.0.0" as Ip, ...sources]);
  const speaker = [...macKeys(-8, mac), ...macKeys(8, mac)];
  return send(
    ARP,
    claims.map((claim) => [...speaker, ...sourceKeys(14, claim)]),
  );
}

function others({ mac, otherProtocols }: SenderPlan): readonly RedirectRule[] {
  if (!otherProtocols) return [];
  return [
    ...[IPV4, IPV6, ARP].flatMap((judged) => leave(judged, [[]])),
    { protocol: ETH_P_ALL, keys: macKeys(-8, mac), redirect: true },
  ];
}

/** Keys for the ports that are left, given where the UDP header begins. */
function portsOf(
  local: readonly LocalTraffic[],
  family: 4 | 6,
  senders: SenderPlan | undefined,
): readonly ((at: number) => Keys)[] {
  const wanted = local.flatMap((one) =>
    one.family === family && "udpDestination" in one ? [one.udpDestination] : [],
  );
  return [
    ...wanted.map((port) => (at: number) => [half(at + 2, port)]),
    ...(senders === undefined ? [] : SERVER_PORTS).map((port) => (at: number) => [half(at, port)]),
  ];
}

function leave(protocol: number, matches: readonly Keys[]): readonly RedirectRule[] {
  return matches.map((keys) => ({ protocol, keys, redirect: false }));
}

function send(protocol: number, matches: readonly Keys[]): readonly RedirectRule[] {
  return matches.map((keys) => ({ protocol, keys, redirect: true }));
}

function macKeys(at: number, mac: SenderPlan["mac"]): Keys {
  const bytes = macToBytes(mac);
  return [word(at, u32(bytes, 0)), half(at + 4, u16(bytes, 4))];
}

function addressKeys(at: number, ip: Ip): Keys {
  const bytes = ipToBytes(ip);
  return Array.from({ length: bytes.length / 4 }, (_, i) => word(at + i * 4, u32(bytes, i * 4)));
}

function sourceKeys(at: number, source: Cidr): Keys {
  if (cidrPrefix(source) === 0) return [];
  return maskedWords(source).map((key) => ({ ...key, at: at + key.at }));
}

function byte(at: number, value: number): U32Key {
  return { at, mask: 0xff000000, value: (value << 24) >>> 0 };
}

function half(at: number, value: number, mask = 0xffff): U32Key {
  return { at, mask: (mask << 16) >>> 0, value: (value << 16) >>> 0 };
}

function word(at: number, value: number): U32Key {
  return { at, mask: 0xffffffff, value };
}
