/**
 * Router discovery of ICMPv6 (RFC 4861, 4.1 and 4.2), with DNS options (RFC 8106), bytes ⇄ values, and whole frames.
 *
 * ICMPv6 checksums are verified: unlike UDP's, guests compute them themselves for neighbour discovery, and the RFC
 * demands it (6.1.1).
 */
import { concatBytes, putU16, putU32, u16, u32 } from "./bytes.ts";
import { checksumOf, isChecksumRight, pseudoHeaderSum6, sumWords } from "./checksum.ts";
import { ETHERNET_HEADER, ETHERTYPE_IPV6, writeEthernet } from "./ethernet.ts";
import { IPV6_HEADER, NEXT_HEADER_ICMPV6, writeIpv6 } from "./ipv6.ts";
import type { Malformed } from "./malformed.ts";

export const ROUTER_SOLICIT = 133;
const ROUTER_ADVERT = 134;
/** Neighbour discovery is valid on its own link only: a router would have lowered it. */
export const ND_HOP_LIMIT = 255;

const OPT_SOURCE_LINK_LAYER = 1;
const OPT_PREFIX = 3;
const OPT_MTU = 5;
const OPT_RDNSS = 25;
const OPT_DNSSL = 31;

const MANAGED = 0x80;
const OTHER = 0x40;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

export interface RouterSolicit {
  readonly sourceMac?: Uint8Array;
}

export interface PrefixInformation {
  /** 16 bytes, host bits zero. */
  readonly prefix: Uint8Array;
  readonly length: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validSeconds: number;
  readonly preferredSeconds: number;
}

export interface RouterAdvert {
  readonly hopLimit: number;
  readonly managed: boolean;
  readonly otherConfig: boolean;
  readonly routerLifetimeSeconds: number;
  readonly sourceMac?: Uint8Array;
  readonly mtu?: number;
  readonly prefixes: readonly PrefixInformation[];
  /** RDNSS: 16 bytes each. */
  readonly nameservers: readonly Uint8Array[];
  /** DNSSL, in wire form. */
  readonly searchDomains: readonly Uint8Array[];
  /** Of nameservers and search domains. */
  readonly dnsSeconds: number;
}

/**
 * Reads an ICMPv6 message out of a whole IPv6 packet, because the checksum covers addresses.
 * @param packet the IPv6 packet without Ethernet header
 * @param message the packet's payload, of the same memory
 */
export function checkIcmp6(packet: Uint8Array, message: Uint8Array): Malformed | undefined {
  if (message.length < 8) return "truncated";
  const pseudo = pseudoHeaderSum6(packet, 0, NEXT_HEADER_ICMPV6, message.length);
  return isChecksumRight(message, 0, message.length, pseudo) ? undefined : "bad-checksum";
}

/** The message of `checkIcmp6`; hop limit and source address are the caller's to judge. */
export function decodeRouterSolicit(message: Uint8Array): RouterSolicit | Malformed {
  if (message.length < 8) return "truncated";
  if (message[0] !== ROUTER_SOLICIT) return "other-protocol";
  if (message[1] !== 0) return "bad-header";
  const options = decodeNdOptions(message, 8);
  if (typeof options === "string") return options;
  const link = options.find((option) => option.type === OPT_SOURCE_LINK_LAYER);
  return link === undefined ? {} : { sourceMac: link.value.subarray(0, 6) };
}

export function decodeRouterAdvert(message: Uint8Array): RouterAdvert | Malformed {
  if (message.length < 16) return "truncated";
  if (message[0] !== ROUTER_ADVERT) return "other-protocol";
  if (message[1] !== 0) return "bad-header";
  const options = decodeNdOptions(message, 16);
  if (typeof options === "string") return options;
  const values = (type: number) => options.flatMap((option) => (option.type === type ? option.value : []));
  const link = values(OPT_SOURCE_LINK_LAYER)[0];
  const mtu = values(OPT_MTU)[0];
  const dns = [...values(OPT_RDNSS), ...values(OPT_DNSSL)][0];
  return {
    hopLimit: message[4] ?? 0,
    managed: ((message[5] ?? 0) & MANAGED) !== 0,
    otherConfig: ((message[5] ?? 0) & OTHER) !== 0,
    routerLifetimeSeconds: u16(message, 6),
    ...(link && { sourceMac: link.subarray(0, 6) }),
    ...(mtu && { mtu: u32(mtu, 2) }),
    prefixes: values(OPT_PREFIX)
      .filter((value) => value.length === 30)
      .map(decodePrefix),
    nameservers: values(OPT_RDNSS).flatMap((value) =>
      Array.from({ length: Math.floor((value.length - 6) / 16) }, (_, i) =>
        value.subarray(6 + i * 16, 22 + i * 16),
      ),
    ),
    searchDomains: values(OPT_DNSSL).flatMap((value) => splitNames(value.subarray(6))),
    dnsSeconds: dns === undefined ? 0 : u32(dns, 2),
  };
}

/** With a checksum of zero: `encodeIcmp6Frame` fills it in. */
export function encodeRouterAdvert(advert: RouterAdvert): Uint8Array {
  const head = new Uint8Array(16);
  head[0] = ROUTER_ADVERT;
  head[4] = advert.hopLimit;
  head[5] = (advert.managed ? MANAGED : 0) | (advert.otherConfig ? OTHER : 0);
  putU16(head, 6, advert.routerLifetimeSeconds);
  const { nameservers, searchDomains } = advert;
  return concatBytes([
    head,
    ...(advert.sourceMac ? [ndOption(OPT_SOURCE_LINK_LAYER, [advert.sourceMac])] : []),
    ...(advert.mtu === undefined ? [] : [ndOption(OPT_MTU, [withLifetime(advert.mtu)])]),
    ...advert.prefixes.map(encodePrefix),
    ...(nameservers.length === 0
      ? []
      : [ndOption(OPT_RDNSS, [withLifetime(advert.dnsSeconds), ...nameservers])]),
    ...(searchDomains.length === 0
      ? []
      : [ndOption(OPT_DNSSL, [withLifetime(advert.dnsSeconds), ...searchDomains])]),
  ]);
}

export interface Icmp6Envelope {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

export function encodeIcmp6Frame(envelope: Icmp6Envelope, message: Uint8Array): Uint8Array {
  const at = ETHERNET_HEADER + IPV6_HEADER;
  const frame = new Uint8Array(at + message.length);
  writeEthernet(frame, envelope.destinationMac, envelope.sourceMac, ETHERTYPE_IPV6);
  writeIpv6(frame, ETHERNET_HEADER, {
    source: envelope.source,
    destination: envelope.destination,
    nextHeader: NEXT_HEADER_ICMPV6,
    hopLimit: ND_HOP_LIMIT,
    payloadLength: message.length,
  });
  frame.set(message, at);
  putU16(frame, at + 2, 0);
  const pseudo = pseudoHeaderSum6(frame, ETHERNET_HEADER, NEXT_HEADER_ICMPV6, message.length);
  putU16(frame, at + 2, checksumOf(sumWords(frame, at, frame.length) + pseudo));
  return frame;
}

interface NdOption {
  readonly type: number;
  /** What follows type and length. */
  readonly value: Uint8Array;
}

function decodeNdOptions(bytes: Uint8Array, from: number): readonly NdOption[] | Malformed {
  const options: NdOption[] = [];
  let at = from;
  while (at < bytes.length) {
    const length = (bytes[at + 1] ?? 0) * 8;
    // A length of zero would never end (RFC 4861, 4.6).
    if (length === 0) return "bad-length";
    if (at + length > bytes.length) return "truncated";
    options.push({ type: bytes[at] ?? 0, value: bytes.subarray(at + 2, at + length) });
    at += length;
  }
  return options;
}

/** Padded with zeros to a multiple of eight bytes. */
function ndOption(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const value = concatBytes(parts);
  const option = new Uint8Array(Math.ceil((value.length + 2) / 8) * 8);
  option[0] = type;
  option[1] = option.length / 8;
  option.set(value, 2);
  return option;
}

/** Two reserved bytes and a 32-bit number: how MTU, RDNSS and DNSSL begin. */
function withLifetime(value: number): Uint8Array {
  const bytes = new Uint8Array(6);
  putU32(bytes, 2, value);
  return bytes;
}

function encodePrefix(information: PrefixInformation): Uint8Array {
  const value = new Uint8Array(30);
  value[0] = information.length;
  value[1] = (information.onLink ? ON_LINK : 0) | (information.autonomous ? AUTONOMOUS : 0);
  putU32(value, 2, information.validSeconds);
  putU32(value, 6, information.preferredSeconds);
  value.set(information.prefix, 14);
  return ndOption(OPT_PREFIX, [value]);
}

function decodePrefix(value: Uint8Array): PrefixInformation {
  return {
    length: value[0] ?? 0,
    onLink: ((value[1] ?? 0) & ON_LINK) !== 0,
    autonomous: ((value[1] ?? 0) & AUTONOMOUS) !== 0,
    validSeconds: u32(value, 2),
    preferredSeconds: u32(value, 6),
    prefix: value.subarray(14, 30),
  };
}

/** Cuts names in wire form apart; a broken rest is left out. */
function splitNames(bytes: Uint8Array): readonly Uint8Array[] {
  const names: Uint8Array[] = [];
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    const size = bytes[at] ?? 0;
    at += 1 + size;
    if (size !== 0) continue;
    if (at - start > 1 && at <= bytes.length) names.push(bytes.subarray(start, at));
    start = at;
  }
  return names;
}
