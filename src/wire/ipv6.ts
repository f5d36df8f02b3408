/**
 * IPv6 headers (RFC 8200). Addresses are 16 bytes. Extension headers are not followed: neither DHCPv6 clients nor
 * router solicitations carry any, and RFC 6980 forbids fragments of the latter.
 */
import { putU16, putU32, u16 } from "./bytes.ts";
import type { Malformed } from "./malformed.ts";

export const IPV6_HEADER = 40;
export const NEXT_HEADER_UDP = 17;
export const NEXT_HEADER_ICMPV6 = 58;
export const ALL_NODES: Uint8Array = multicast(0x02, 0, 0x01);
export const ALL_ROUTERS: Uint8Array = multicast(0x02, 0, 0x02);
/** All_DHCP_Relay_Agents_and_Servers (RFC 8415, 7.1). */
export const ALL_DHCP: Uint8Array = multicast(0x02, 1, 0x02);

export interface Ipv6Packet {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly payload: Uint8Array;
}

export function decodeIpv6(packet: Uint8Array): Ipv6Packet | Malformed {
  if (packet.length < IPV6_HEADER) return "truncated";
  if ((packet[0] ?? 0) >> 4 !== 6) return "bad-header";
  const end = IPV6_HEADER + u16(packet, 4);
  if (end > packet.length) return "truncated";
  // A group is never a source (RFC 4291, 2.7).
  if (packet[8] === 0xff) return "bad-header";
  return {
    source: packet.subarray(8, 24),
    destination: packet.subarray(24, 40),
    nextHeader: packet[6] ?? 0,
    hopLimit: packet[7] ?? 0,
    payload: packet.subarray(IPV6_HEADER, end),
  };
}

export interface Ipv6Header {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly payloadLength: number;
}

export function writeIpv6(bytes: Uint8Array, at: number, header: Ipv6Header): void {
  putU32(bytes, at, 0x60000000);
  putU16(bytes, at + 4, header.payloadLength);
  bytes[at + 6] = header.nextHeader;
  bytes[at + 7] = header.hopLimit;
  bytes.set(header.source, at + 8);
  bytes.set(header.destination, at + 24);
}

export function isUnspecified(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}

/** `ff<flags and scope>::<group>:<last>`. */
function multicast(scope: number, group: number, last: number): Uint8Array {
  return Uint8Array.of(0xff, scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, group, 0, last);
}
