/**
 * IPv4 headers (RFC 791). Addresses are unsigned 32-bit numbers: they are compared on every packet.
 *
 * The header checksum of what guests send is not verified: the link is memory, and nothing is gained by a packet
 * lost. What is sent carries a right one.
 */
import type { Ip } from "../base/ip.ts";
import { putU16, putU32, u16, u32 } from "./bytes.ts";
import { checksumOf, sumWords } from "./checksum.ts";
import type { Malformed } from "./malformed.ts";

export const IPV4_HEADER = 20;
export const PROTOCOL_UDP = 17;
export const IP4_ANY = 0;
export const IP4_BROADCAST = 0xffffffff;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS_AND_OFFSET = 0x3fff;
const TTL = 64;

export interface Ipv4Packet {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export function decodeIpv4(packet: Uint8Array): Ipv4Packet | Malformed {
  if (packet.length < IPV4_HEADER) return "truncated";
  const first = packet[0] ?? 0;
  if (first >> 4 !== 4) return "bad-header";
  const headerLength = (first & 0x0f) * 4;
  const totalLength = u16(packet, 2);
  if (headerLength < IPV4_HEADER || totalLength < headerLength) return "bad-length";
  if (totalLength > packet.length) return "truncated";
  if ((u16(packet, 6) & MORE_FRAGMENTS_AND_OFFSET) !== 0) return "fragment";
  return {
    source: u32(packet, 12),
    destination: u32(packet, 16),
    protocol: packet[9] ?? 0,
    payload: packet.subarray(headerLength, totalLength),
  };
}

export interface Ipv4Header {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payloadLength: number;
}

export function writeIpv4(bytes: Uint8Array, at: number, header: Ipv4Header): void {
  bytes[at] = 0x45;
  putU16(bytes, at + 2, IPV4_HEADER + header.payloadLength);
  // An atomic datagram needs no identification (RFC 6864, 4.1).
  putU16(bytes, at + 6, DONT_FRAGMENT);
  bytes[at + 8] = TTL;
  bytes[at + 9] = header.protocol;
  putU16(bytes, at + 10, 0);
  putU32(bytes, at + 12, header.source);
  putU32(bytes, at + 16, header.destination);
  putU16(bytes, at + 10, checksumOf(sumWords(bytes, at, at + IPV4_HEADER)));
}

export function ip4ToNumber(ip: Ip): number {
  return ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function ip4FromNumber(value: number): Ip {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff].join(".") as Ip;
}
