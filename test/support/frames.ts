/**
 * Frames as honest and hostile guests send them, and what becomes of each at a redirect: it passes, or it is left and
 * counted by the name given. For the classifiers' unit tests and for real kernels alike.
 */
import { type Ip, ipToBytes } from "../../src/base/ip.ts";
import { type Mac, macToBytes } from "../../src/base/mac.ts";
import { putU16 } from "../../src/wire/bytes.ts";
import { checksumOf, sumWords } from "../../src/wire/checksum.ts";
import { concat } from "../../src/wire/netlink.ts";

export interface FrameCase {
  readonly name: string;
  readonly frame: Uint8Array;
  /** `passes`, or the counter of the rule that drops it. */
  readonly fate: string;
}

export interface Parties {
  readonly guest: { readonly mac: Mac; readonly v4: Ip; readonly v6: Ip; readonly linkLocal: Ip };
  readonly other: { readonly mac: Mac; readonly v4: Ip; readonly v6: Ip };
  readonly router: Ip;
}

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const FRAGMENT = 44;
const IGMP = 2;
const NOBODY = "0.0.0.0" as Ip;
const STRANGER = { mac: "02:99:99:99:99:99" as Mac, v4: "10.99.0.77" as Ip, v6: "fd99::77" as Ip };

/** What a guest of both families may send and what not. */
export function guestFrames({ guest, other, router }: Parties): readonly FrameCase[] {
  const to = other.mac;
  const eth = (type: number, payload: Uint8Array, from: Mac = guest.mac): Uint8Array =>
    ethernet(to, from, type, payload);
  const v4 = (protocol: number, payload: Uint8Array, more: Partial<Ipv4> = {}): Uint8Array =>
    eth(IPV4, ipv4({ source: guest.v4, destination: other.v4, protocol, payload, ...more }));
  const v6 = (next: number, payload: Uint8Array, source: Ip = guest.v6): Uint8Array =>
    eth(IPV6, ipv6(source, other.v6, next, payload));
  const advert = (target: Ip): Uint8Array => icmp6(136, concat(new Uint8Array(4), ipToBytes(target)));
  const fragment = (next: number, offset: number, payload: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(next, 0, (offset << 3) >> 8, (offset << 3) & 0xff, 0, 0, 0, 1), payload);
  /** One 8-byte extension header that says nothing. */
  const options = (next: number, payload: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0), payload);
  const any = new Uint8Array(12);
  return [
    { name: "TCP over IPv4", frame: v4(TCP, any), fate: "passes" },
    { name: "UDP over IPv4", frame: v4(UDP, udp(4000, 53)), fate: "passes" },
    { name: "ping", frame: v4(1, Uint8Array.of(8, 0, 0, 0, 0, 1, 0, 1)), fate: "passes" },
    { name: "IGMP with router alert", frame: v4(IGMP, any, { options: 4 }), fate: "passes" },
    { name: "a later IPv4 fragment", frame: v4(UDP, udp(67, 67), { offset: 100 }), fate: "passes" },
    { name: "TCP over IPv6", frame: v6(TCP, any), fate: "passes" },
    { name: "UDP over IPv6", frame: v6(UDP, udp(4000, 53)), fate: "passes" },
    { name: "ping over IPv6", frame: v6(ICMPV6, icmp6(128, any)), fate: "passes" },
    {
      name: "a neighbour solicitation",
      frame: v6(ICMPV6, icmp6(135, new Uint8Array(20)), guest.linkLocal),
      fate: "passes",
    },
    {
      name: "duplicate address detection",
      frame: v6(ICMPV6, icmp6(135, new Uint8Array(20)), "::" as Ip),
      fate: "passes",
    },
    { name: "an advertisement of its address", frame: v6(ICMPV6, advert(guest.v6)), fate: "passes" },
    {
      name: "an advertisement of its link-local address",
      frame: v6(ICMPV6, advert(guest.linkLocal)),
      fate: "passes",
    },
    { name: "a first IPv6 fragment", frame: v6(FRAGMENT, fragment(UDP, 0, udp(4000, 53))), fate: "passes" },
    { name: "a later IPv6 fragment", frame: v6(FRAGMENT, fragment(UDP, 100, udp(547, 547))), fate: "passes" },
    {
      name: "a multicast listener report",
      frame: v6(0, options(ICMPV6, icmp6(143, any)), guest.linkLocal),
      fate: "passes",
    },
    { name: "ARP for another", frame: eth(ARP, arp(guest.mac, guest.v4, other.v4)), fate: "passes" },
    { name: "an ARP probe", frame: eth(ARP, arp(guest.mac, NOBODY, guest.v4)), fate: "passes" },

    {
      name: "another MAC",
      frame: eth(
        IPV4,
        ipv4({ source: guest.v4, destination: other.v4, protocol: TCP, payload: any }),
        STRANGER.mac,
      ),
      fate: "spoofed_mac",
    },
    { name: "another IPv4 address", frame: v4(TCP, any, { source: STRANGER.v4 }), fate: "spoofed_ipv4" },
    { name: "no IPv4 address", frame: v4(UDP, udp(4000, 53), { source: NOBODY }), fate: "spoofed_ipv4" },
    { name: "another IPv6 address", frame: v6(TCP, any, STRANGER.v6), fate: "spoofed_ipv6" },
    {
      name: "ARP of another's address",
      frame: eth(ARP, arp(guest.mac, STRANGER.v4, other.v4)),
      fate: "spoofed_ipv4",
    },
    {
      name: "ARP of another's MAC",
      frame: eth(ARP, arp(STRANGER.mac, guest.v4, other.v4)),
      fate: "spoofed_mac",
    },
    {
      name: "an advertisement of another's address",
      frame: v6(ICMPV6, advert(STRANGER.v6)),
      fate: "spoofed_ipv6",
    },
    {
      name: "an advertisement of the router's address",
      frame: v6(ICMPV6, advert(router)),
      fate: "spoofed_router",
    },
    {
      name: "speaking as the router",
      frame: v6(ICMPV6, icmp6(135, new Uint8Array(20)), router),
      fate: "spoofed_router",
    },
    {
      name: "a router advertisement",
      frame: v6(ICMPV6, icmp6(134, any), guest.linkLocal),
      fate: "spoofed_router",
    },
    { name: "a redirect", frame: v6(ICMPV6, icmp6(137, any), guest.linkLocal), fate: "spoofed_router" },
    {
      name: "a router advertisement behind options",
      frame: v6(60, options(ICMPV6, icmp6(134, any)), guest.linkLocal),
      fate: "spoofed_router",
    },
    {
      name: "a router advertisement behind hop-by-hop options",
      frame: v6(0, options(ICMPV6, icmp6(134, any)), guest.linkLocal),
      fate: "spoofed_router",
    },
    {
      name: "a router advertisement in a fragment",
      frame: v6(FRAGMENT, fragment(ICMPV6, 0, icmp6(134, any)), guest.linkLocal),
      fate: "spoofed_router",
    },
    { name: "a DHCP offer", frame: v4(UDP, udp(67, 68)), fate: "spoofed_router" },
    {
      name: "a DHCPv6 advertisement",
      frame: v6(UDP, udp(547, 546), guest.linkLocal),
      fate: "spoofed_router",
    },
    { name: "a DHCP renewal", frame: v4(UDP, udp(68, 67)), fate: "asked_inside" },
    { name: "a DHCPv6 request", frame: v6(UDP, udp(546, 547), guest.linkLocal), fate: "asked_inside" },
    {
      name: "a router solicitation",
      frame: v6(ICMPV6, icmp6(133, any), guest.linkLocal),
      fate: "asked_inside",
    },
    { name: "an unknown EtherType", frame: eth(0x88b5, any), fate: "other_ethertype" },
    {
      name: "UDP behind destination options",
      frame: v6(60, options(UDP, udp(4000, 53))),
      fate: "not_redirected",
    },
  ];
}

/** What reaches a pod NIC from the network, and whether the guest gets it. */
export function networkFrames({ guest, other }: Parties): readonly FrameCase[] {
  const eth = (type: number, payload: Uint8Array): Uint8Array =>
    ethernet(guest.mac, other.mac, type, payload);
  const v4 = (protocol: number, payload: Uint8Array, more: Partial<Ipv4> = {}): Uint8Array =>
    eth(IPV4, ipv4({ source: other.v4, destination: guest.v4, protocol, payload, ...more }));
  const v6 = (next: number, payload: Uint8Array): Uint8Array =>
    eth(IPV6, ipv6("fe80::99" as Ip, guest.v6, next, payload));
  const any = new Uint8Array(12);
  return [
    { name: "TCP over IPv4", frame: v4(TCP, any), fate: "passes" },
    { name: "UDP over IPv4 with options", frame: v4(UDP, udp(53, 4000), { options: 4 }), fate: "passes" },
    { name: "UDP over IPv6", frame: v6(UDP, udp(53, 4000)), fate: "passes" },
    { name: "a neighbour solicitation", frame: v6(ICMPV6, icmp6(135, any)), fate: "passes" },
    { name: "ARP", frame: eth(ARP, arp(other.mac, other.v4, guest.v4)), fate: "passes" },
    { name: "an unknown EtherType", frame: eth(0x88b5, any), fate: "passes" },
    { name: "a foreign offer", frame: v4(UDP, udp(67, 68)), fate: "foreign_dhcp" },
    { name: "a foreign DHCPv6 reply", frame: v6(UDP, udp(547, 546)), fate: "foreign_dhcp" },
    { name: "a foreign router advertisement", frame: v6(ICMPV6, icmp6(134, any)), fate: "foreign_dhcp" },
  ];
}

export function ethernet(destination: Mac, source: Mac, type: number, payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(14);
  head.set(macToBytes(destination), 0);
  head.set(macToBytes(source), 6);
  putU16(head, 12, type);
  // The kernel pads no frame that is sent whole; 60 is the least a real NIC sends.
  const frame = concat(head, payload);
  return frame.length >= 60 ? frame : concat(frame, new Uint8Array(60 - frame.length));
}

interface Ipv4 {
  readonly source: Ip;
  readonly destination: Ip;
  readonly protocol: number;
  readonly payload: Uint8Array;
  /** Bytes of options, of "no operation". */
  readonly options?: number;
  /** In units of 8 bytes. */
  readonly offset?: number;
}

export function ipv4({ source, destination, protocol, payload, options = 0, offset = 0 }: Ipv4): Uint8Array {
  const head = new Uint8Array(20 + options).fill(1, 20);
  head[0] = 0x45 + options / 4;
  putU16(head, 2, head.length + payload.length);
  putU16(head, 6, offset);
  head[8] = 64;
  head[9] = protocol;
  head.set(ipToBytes(source), 12);
  head.set(ipToBytes(destination), 16);
  // br_netfilter throws away what is not right.
  putU16(head, 10, checksumOf(sumWords(head, 0, head.length)));
  return concat(head, payload);
}

export function ipv6(source: Ip, destination: Ip, next: number, payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(40);
  head[0] = 0x60;
  putU16(head, 4, payload.length);
  head[6] = next;
  head[7] = 255;
  head.set(ipToBytes(source), 8);
  head.set(ipToBytes(destination), 24);
  return concat(head, payload);
}

function udp(source: number, destination: number): Uint8Array {
  const bytes = new Uint8Array(16);
  putU16(bytes, 0, source);
  putU16(bytes, 2, destination);
  putU16(bytes, 4, bytes.length);
  return bytes;
}

function icmp6(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type, 0, 0, 0), body);
}

function arp(mac: Mac, sender: Ip, target: Ip): Uint8Array {
  const head = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1);
  return concat(head, macToBytes(mac), ipToBytes(sender), new Uint8Array(6), ipToBytes(target));
}
