/**
 * A redirect as an eBPF classifier in direct-action mode: which frames go out of the other link, and which are left
 * to this link's stack.
 *
 * Theory of operation. The program is made of the plan's numbers alone: no maps, nothing to keep beside it. A frame
 * of a stranger, one for the pod itself, and one that is too short to tell are left (TC_ACT_OK); everything else is
 * redirected. It says what `redirect-rules.ts` says for u32 and `plan/parts/anti-spoof.ts` in nft's words; shortcuts and
 * the way into a veth's peer are said here alone.
 *
 * Fragments after the first carry no ports and go with their sender's address. Of IPv6 extension headers a guest may
 * send fragments, and hop-by-hop options before multicast listener reports (RFC 3810, 5); others could hide a router
 * advertisement (RFC 7113, 2) and are left.
 */
import { type Cidr, cidrIp, cidrPrefix, type Ip, ipToBytes, toCidr } from "../base/ip.ts";
import { type Mac, macToBytes } from "../base/mac.ts";
import type { LocalTraffic, RedirectPlan, SenderPlan, ShortcutPlan } from "../plan/plan.ts";
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
  LINK_LOCAL,
  LISTENER_REPORTS,
  maskedWords,
  NEIGHBOUR_ADVERT,
  NEIGHBOUR_DISCOVERY,
  ROUTER_MESSAGES,
  SERVER_PORTS,
  sourcesOf,
  UDP,
} from "./redirect-traffic.ts";

/** Offset in `struct __sk_buff` (include/uapi/linux/bpf.h). */
const VLAN_PRESENT = 20;
const BPF_FUNC_REDIRECT = 23;
/** As if it had come in at the peer; no flags. For stations only: the frame becomes one to this host (skb_scrub_packet). */
const BPF_FUNC_REDIRECT_PEER = 155;
/** The lowest bit of the first byte, in the first word: to a group, or to everybody. */
const GROUP_BIT = 0x01000000;
const TC_ACT_OK = 0;
/** Where the header behind a fragment header begins. */
const BEHIND_FRAGMENT = 62;
/** Of an IPv6 address. */
const WORDS = [0, 4, 8, 12] as const;

type Redirect = Pick<RedirectPlan, "local" | "senders" | "intoPeer" | "shortcut">;

/** @param to ifindex */
export function redirectProgram(
  { local, senders, intoPeer, shortcut }: Redirect,
  to: number,
): readonly Line[] {
  const others = senders === undefined || senders.otherProtocols;
  const rest = others && shortcut === undefined ? "send" : "leave";
  const asksArp = senders !== undefined && shortcut === undefined;
  const left = shortcut === undefined ? [] : NEIGHBOUR_DISCOVERY;
  return [
    copy(6, 1),
    ...(shortcut === undefined ? [] : toOneStation(shortcut)),
    ...(senders === undefined ? [] : macAt(senders.mac, 6)),
    // The kernel has taken the tag out of the frame.
    loadWord(0, 6, VLAN_PRESENT),
    jumpUnlessEqual(0, 0, rest),
    loadFrame("half", 12),
    jumpIfEqual(0, IPV4, "ipv4"),
    jumpIfEqual(0, IPV6, "ipv6"),
    ...(asksArp ? [jumpIfEqual(0, ARP, "arp")] : []),
    jump(rest),
    ...ipv4(local, senders),
    ...ipv6([...local, ...left], senders),
    ...(asksArp ? arp(senders) : []),
    { label: "send" },
    ...(intoPeer && shortcut === undefined
      ? [loadFrame("word", 0), jumpIfBits(0, GROUP_BIT, "send-out")]
      : []),
    ...(intoPeer ? send(BPF_FUNC_REDIRECT_PEER, "redirect_peer", to) : []),
    { label: "send-out" },
    ...send(BPF_FUNC_REDIRECT, "redirect", to),
    { label: "leave" },
    set(0, TC_ACT_OK),
    exit,
  ];
}

function send(helper: number, name: string, to: number): readonly Line[] {
  return [set(1, to), set(2, 0), call(helper, name), exit];
}

/** Leaves frames to groups, and to stations that are not behind the other link. */
function toOneStation({ to, except }: ShortcutPlan): readonly Line[] {
  if (to !== undefined) return macAt(to, 0);
  const [first = 0, last = 0] = except === undefined ? [] : macWords(except);
  return [
    loadFrame("word", 0),
    jumpIfBits(0, GROUP_BIT, "leave"),
    ...(except === undefined
      ? []
      : [
          jumpUnlessEqual(0, first, "to-others"),
          loadFrame("half", 4),
          jumpIfEqual(0, last, "leave"),
          { label: "to-others" },
        ]),
  ];
}

/** Leaves frames in which another MAC stands at that offset. */
function macAt(mac: Mac, at: number): readonly Line[] {
  const [first, last] = macWords(mac);
  return [
    loadFrame("word", at),
    jumpUnlessEqual(0, first, "leave"),
    loadFrame("half", at + 4),
    jumpUnlessEqual(0, last, "leave"),
  ];
}

function macWords(mac: Mac): readonly [number, number] {
  const bytes = macToBytes(mac);
  return [u32(bytes, 0), u16(bytes, 4)];
}

function ipv4(local: readonly LocalTraffic[], senders: SenderPlan | undefined): readonly Line[] {
  return [
    { label: "ipv4" },
    ...(senders === undefined
      ? []
      : [loadFrame("word", 26), ...oneOfV4(senders.ipv4, "ipv4-known"), jump("leave")]),
    { label: "ipv4-known" },
    loadFrame("byte", 23),
    jumpUnlessEqual(0, UDP, "send"),
    loadFrame("half", 20),
    jumpIfBits(0, 0x1fff, "send"),
    loadFrame("byte", 14),
    and(0, 0xf),
    shiftLeft(0, 2),
    copy(7, 0),
    ...ports(local, 4, senders, (at) => loadFrameFrom("half", 7, 14 + at)),
    jump("send"),
  ];
}

function ipv6(local: readonly LocalTraffic[], senders: SenderPlan | undefined): readonly Line[] {
  const types = local.flatMap((one) => ("icmpType" in one ? [one.icmpType] : []));
  return [
    { label: "ipv6" },
    ...(senders === undefined ? [] : knownV6(senders)),
    { label: "ipv6-known" },
    set(8, 54),
    loadFrame("byte", 20),
    jumpUnlessEqual(0, FRAGMENT, "ipv6-next"),
    loadFrame("half", 56),
    jumpIfBits(0, 0xfff8, "send"),
    set(8, BEHIND_FRAGMENT),
    loadFrame("byte", 54),
    { label: "ipv6-next" },
    jumpIfEqual(0, UDP, "udp6"),
    jumpIfEqual(0, ICMPV6, "icmp6"),
    ...(senders === undefined
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
    ...ports(local, 6, senders, (at) => loadFrameFrom("half", 8, at)),
    jump("send"),
    { label: "icmp6" },
    loadFrameFrom("byte", 8, 0),
    ...[...types, ...(senders === undefined ? [] : ROUTER_MESSAGES)].map((type) =>
      jumpIfEqual(0, type, "leave"),
    ),
    ...(senders === undefined ? [] : claims(senders)),
    jump("send"),
  ];
}

function knownV6({ ipv6: sources, routers }: SenderPlan): readonly Line[] {
  return [
    ...WORDS.flatMap((at) => [loadFrame("word", 22 + at), storeWord(10, at - 16, 0)]),
    ...ifStored(routers.map(whole), "leave", "ipv6-router"),
    ...ifStored(sourcesOf(6, sources), "ipv6-known", "ipv6-source"),
    jump("leave"),
  ];
}

/** Jumps where the address on the stack is in one of the prefixes. */
function ifStored(prefixes: readonly Cidr[], found: string, stem: string): readonly Line[] {
  return prefixes.flatMap((prefix, i) => [
    ...maskedWords(prefix).flatMap(({ at, mask, value }) => [
      loadWord(0, 10, at - 16),
      ...(mask === 0xffffffff ? [] : [and(0, mask)]),
      jumpUnlessEqual(0, value, `${stem}-${i}`),
    ]),
    jump(found),
    { label: `${stem}-${i}` },
  ]);
}

/** Of a neighbour advertisement: the target is what it claims (RFC 4861, 4.4). */
function claims({ routers, claims: allowed }: SenderPlan): readonly Line[] {
  if (routers.length === 0 && allowed === undefined) return [];
  return [
    jumpUnlessEqual(0, NEIGHBOUR_ADVERT, "send"),
    ...WORDS.flatMap((at) => [loadFrameFrom("word", 8, 8 + at), storeWord(10, at - 16, 0)]),
    ...ifStored(routers.map(whole), "leave", "claim-router"),
    ...(allowed === undefined
      ? []
      : [
          // No host takes one in a fragment (RFC 6980).
          jumpIfEqual(8, BEHIND_FRAGMENT, "leave"),
          ...ifStored([LINK_LOCAL, ...allowed.map(whole)], "send", "claim"),
          jump("leave"),
        ]),
  ];
}

function whole(ip: Ip): Cidr {
  return toCidr(ip, 128);
}

function arp(senders: SenderPlan): readonly Line[] {
  return [
    { label: "arp" },
    ...macAt(senders.mac, 22),
    loadFrame("word", 28),
    jumpIfEqual(0, 0, "send"),
    ...oneOfV4(senders.ipv4, "send"),
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
  senders: SenderPlan | undefined,
  load: (at: number) => Line,
): readonly Line[] {
  const wanted = local.flatMap((one) =>
    one.family === family && "udpDestination" in one ? [one.udpDestination] : [],
  );
  return [
    ...(wanted.length === 0 ? [] : [load(2), ...wanted.map((port) => jumpIfEqual(0, port, "leave"))]),
    ...(senders === undefined ? [] : [load(0), ...SERVER_PORTS.map((port) => jumpIfEqual(0, port, "leave"))]),
  ];
}
