/** Ethernet II frames without a VLAN tag. The preamble and the frame check sequence never reach software. */
import { putU16, u16 } from "./bytes.ts";
import type { Malformed } from "./malformed.ts";

export const ETHERNET_HEADER = 14;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
export const BROADCAST_MAC: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

export interface EthernetFrame {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly etherType: number;
  /** May carry padding at its end. */
  readonly payload: Uint8Array;
}

export function decodeEthernet(frame: Uint8Array): EthernetFrame | Malformed {
  if (frame.length < ETHERNET_HEADER) return "truncated";
  // A group address is never a source (IEEE 802.3, 3.2.3).
  if (isGroupMac(frame, 6)) return "bad-header";
  return {
    destination: frame.subarray(0, 6),
    source: frame.subarray(6, 12),
    etherType: u16(frame, 12),
    payload: frame.subarray(ETHERNET_HEADER),
  };
}

export function writeEthernet(
  frame: Uint8Array,
  destination: Uint8Array,
  source: Uint8Array,
  etherType: number,
): void {
  frame.set(destination, 0);
  frame.set(source, 6);
  putU16(frame, 12, etherType);
}

/** Reads the type without decoding; 0 for a frame that is too short. */
export function etherTypeOf(frame: Uint8Array): number {
  return u16(frame, 12);
}

/** Where IPv6 multicast goes (RFC 2464, 7): 33:33 and the last four bytes of the address. */
export function multicastMac6(group: Uint8Array): Uint8Array {
  return Uint8Array.of(0x33, 0x33, ...group.subarray(12, 16));
}

/** Broadcast or multicast. */
function isGroupMac(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at] ?? 0) & 1) === 1;
}
