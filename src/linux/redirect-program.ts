/**
 * A redirect as an eBPF classifier in direct-action mode: which frames go out of the other link, and which are left
 * to this link's stack.
 *
 * Theory of operation. The program is made of the plan's numbers alone: no maps, nothing to keep beside it. A frame
 * of a stranger, one for the pod itself, and one that is too short to tell are left (TC_ACT_OK); everything else is
 * redirected. It says what `redirect-rules.ts` says for u32 and `plan/parts/anti-spoof.ts` in nft's words.
 *
 * Fragments after the first carry no ports and go with their sender's address. Of IPv6 extension headers a guest may
 * send fragments, and hop-by-hop options before multicast listener reports (RFC 3810, 5); others could hide a router
 * advertisement (RFC 7113, 2) and are left.
 */
import { type Cidr, cidrIp, cidrPrefix, type Ip, ipToBytes } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import type { LocalTraffic, RedirectPlan, SenderPlan } from "../plan/plan.ts";
import { u16, u32 } from "../wire/bytes.ts";
import {
  and,
  call,
  copy,
  exit,
  jump,
  jumpIfBits,
  jumpIfEqual,
  jumpUnlessEqual,
  type Line,
  loadFrame,
  loadFrameFrom,
  loadWord,
  set,
  shiftLeft,
  storeWord,
} from "../wire/ebpf.ts";
import {
  ARP,
  EXTENSION_HEADERS,
  FRAGMENT,
  HOP_BY_HOP,
  ICMPV6,
  IPV4,
  IPV6,
  LISTENER_REPORTS,
  maskedWords,
  NEIGHBOUR_ADVERT,
  ROUTER_MESSAGES,
  SERVER_PORTS,
  sourcesOf,
  UDP,
} from "./redirect-traffic.ts";

/** Offset in `struct __sk_buff` (include/uapi/linux/bpf.h). */
const VLAN_PRESENT = 20;
const BPF_FUNC_REDIRECT = 23;
const TC_ACT_OK = 0;

type Redirect = Pick<RedirectPlan, "local" | "senders">;
type SenderIp = NonNullable<SenderPlan["ip"]>;

/** @param to ifindex */
export function redirectProgram({ local, senders }: Redirect, to: number): readonly Line[] {
  const ip = senders?.ip;
  return [
    copy(6, 1),
    // The kernel has taken the tag out of the frame.
    ...(ip === undefined && senders === undefined ? [] : senderMac(senders, 6)),
    loadWord(0, 6, VLAN_PRESENT),
    jumpUnlessEqual(0, 0, ip === undefined ? "send" : "leave"),
    loadFrame("half", 12),
    jumpIfEqual(0, IPV4, "ipv4"),
    jumpIfEqual(0, IPV6, "ipv6"),
    ...(ip === undefined ? [jump("send")] : [jumpIfEqual(0, ARP, "arp"), jump("leave")]),
    ...ipv4(local, ip),
    ...ipv6(local, ip),
    ...(senders === undefined ? [] : arp(senders)),
    { label: "send" },
    set(1, to),
    set(2, 0),
    call(BPF_FUNC_REDIRECT, "redirect"),
    exit,
    { label: "leave" },
    set(0, TC_ACT_OK),
    exit,
  ];
}

/** Leaves frames in which another MAC stands at that offset. */
function senderMac(senders: SenderPlan | undefined, at: number): readonly Line[] {
  if (senders === undefined) return [];
  const mac = macToBytes(senders.mac);
  return [
    loadFrame("word", at),
    jumpUnlessEqual(0, u32(mac, 0), "leave"),
    loadFrame("half", at + 4),
    jumpUnlessEqual(0, u16(mac, 4), "leave"),
  ];
}

function ipv4(local: readonly LocalTraffic[], ip: SenderIp | undefined): readonly Line[] {
  return [
    { label: "ipv4" },
    ...(ip === undefined ? [] : [loadFrame("word", 26), ...oneOfV4(ip.v4, "ipv4-known"), jump("leave")]),
    { label: "ipv4-known" },
    loadFrame("byte", 23),
    jumpUnlessEqual(0, UDP, "send"),
    loadFrame("half", 20),
    jumpIfBits(0, 0x1fff, "send"),
    loadFrame("byte", 14),
    and(0, 0xf),
    shiftLeft(0, 2),
    copy(7, 0),
    ...ports(local, 4, ip, (at) => loadFrameFrom("half", 7, 14 + at)),
    jump("send"),
  ];
}

function ipv6(local: readonly LocalTraffic[], ip: SenderIp | undefined): readonly Line[] {
  const types = local.flatMap((one) => ("icmpType" in one ? [one.icmpType] : []));
  return [
    { label: "ipv6" },
    ...(ip === undefined ? [] : knownV6(ip.v6)),
    { label: "ipv6-known" },
    set(8, 54),
    loadFrame("byte", 20),
    jumpUnlessEqual(0, FRAGMENT, "ipv6-next"),
    loadFrame("half", 56),
    jumpIfBits(0, 0xfff8, "send"),
    set(8, 62),
    loadFrame("byte", 54),
    { label: "ipv6-next" },
    jumpIfEqual(0, UDP, "udp6"),
    jumpIfEqual(0, ICMPV6, "icmp6"),
    ...(ip === undefined
      ? []
      : [
          jumpIfEqual(0, HOP_BY_HOP, "hop-by-hop"),
          ...[FRAGMENT, ...EXTENSION_HEADERS].map((header) => jumpIfEqual(0, header, "leave")),
        ]),
    jump("send"),
    { label: "hop-by-hop" },
    loadFrameFrom("half", 8, 0),
    jumpUnlessEqual(0, ICMPV6 << 8, "leave"),
    loadFrameFrom("byte", 8, 8),
    ...LISTENER_REPORTS.map((type) => jumpIfEqual(0, type, "send")),
    jump("leave"),
    { label: "udp6" },
    ...ports(local, 6, ip, (at) => loadFrameFrom("half", 8, at)),
    jump("send"),
    { label: "icmp6" },
    loadFrameFrom("byte", 8, 0),
    ...[...types, ...(ip === undefined ? [] : ROUTER_MESSAGES)].map((type) => jumpIfEqual(0, type, "leave")),
    ...(ip === undefined ? [] : routerClaims(ip.routers)),
    jump("send"),
  ];
}

function knownV6(sources: readonly (Ip | Cidr)[]): readonly Line[] {
  const words = [0, 4, 8, 12];
  return [
    ...words.flatMap((at) => [loadFrame("word", 22 + at), storeWord(10, at - 16, 0)]),
    ...sourcesOf(6, sources).flatMap((source, i) => [
      ...maskedWords(source).flatMap(({ at, mask, value }) => [
        loadWord(0, 10, at - 16),
        ...(mask === 0xffffffff ? [] : [and(0, mask)]),
        jumpUnlessEqual(0, value, `ipv6-source-${i}`),
      ]),
      jump("ipv6-known"),
      { label: `ipv6-source-${i}` },
    ]),
    jump("leave"),
  ];
}

/** Of a neighbour advertisement that claims a router's address (RFC 4861, 4.4). */
function routerClaims(routers: readonly Ip[]): readonly Line[] {
  if (routers.length === 0) return [];
  return [
    jumpUnlessEqual(0, NEIGHBOUR_ADVERT, "send"),
    ...routers.flatMap((router, i) => [
      ...[0, 4, 8, 12].flatMap((at) => [
        loadFrameFrom("word", 8, 8 + at),
        jumpUnlessEqual(0, u32(ipToBytes(router), at), `router-${i}`),
      ]),
      jump("leave"),
      { label: `router-${i}` },
    ]),
  ];
}

function arp(senders: SenderPlan): readonly Line[] {
  return [
    { label: "arp" },
    ...senderMac(senders, 22),
    loadFrame("word", 28),
    jumpIfEqual(0, 0, "send"),
    ...oneOfV4(senders.ip?.v4 ?? [], "send"),
    jump("leave"),
  ];
}

/** Of the word in r0; goes on where it is none of them. */
function oneOfV4(sources: readonly (Ip | Cidr)[], known: string): readonly Line[] {
  return [
    copy(7, 0),
    ...sourcesOf(4, sources).flatMap((source) => {
      const value = u32(ipToBytes(cidrIp(source)), 0);
      const prefix = cidrPrefix(source);
      if (prefix === 32) return [jumpIfEqual(7, value, known)];
      const mask = prefix === 0 ? 0 : -1 << (32 - prefix);
      return [copy(0, 7), and(0, mask), jumpIfEqual(0, (value & mask) >>> 0, known)];
    }),
  ];
}

/** Leaves what goes to a port of the pod's own, and what a guest sends as if it were a DHCP server. */
function ports(
  local: readonly LocalTraffic[],
  family: 4 | 6,
  ip: SenderIp | undefined,
  load: (at: number) => Line,
): readonly Line[] {
  const wanted = local.flatMap((one) =>
    one.family === family && "udpDestination" in one ? [one.udpDestination] : [],
  );
  return [
    ...(wanted.length === 0 ? [] : [load(2), ...wanted.map((port) => jumpIfEqual(0, port, "leave"))]),
    ...(ip === undefined ? [] : [load(0), ...SERVER_PORTS.map((port) => jumpIfEqual(0, port, "leave"))]),
  ];
}
