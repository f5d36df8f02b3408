/**
 * UDP (RFC 768) and whole frames that carry it.
 *
 * Checksums of guests are not verified: with checksum offload a guest leaves the field half done, and a responder
 * that insisted would be deaf to ordinary virtio guests. What is sent is always complete, because some clients
 * throw away what is not (FreeBSD, harvester/harvester#5160).
 */
import { putU16, u16 } from "./bytes.ts";
import { pseudoHeaderSum4, pseudoHeaderSum6, sumWords, udpChecksumOf } from "./checksum.ts";
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from "./ethernet.ts";
import { IPV4_HEADER, PROTOCOL_UDP, writeIpv4 } from "./ipv4.ts";
import { IPV6_HEADER, NEXT_HEADER_UDP, writeIpv6 } from "./ipv6.ts";
import type { Malformed } from "./malformed.ts";

export const UDP_HEADER = 8;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

export function decodeUdp(bytes: Uint8Array): UdpDatagram | Malformed {
  if (bytes.length < UDP_HEADER) return "truncated";
  const length = u16(bytes, 4);
  if (length < UDP_HEADER) return "bad-length";
  if (length > bytes.length) return "truncated";
  return {
    sourcePort: u16(bytes, 0),
    destinationPort: u16(bytes, 2),
    payload: bytes.subarray(UDP_HEADER, length),
  };
}

export interface UdpEnvelope<Address> {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function encodeUdp4Frame(envelope: UdpEnvelope<number>, payload: Uint8Array): Uint8Array {
  const udpLength = UDP_HEADER + payload.length;
  const at = ETHERNET_HEADER + IPV4_HEADER;
  const frame = new Uint8Array(at + udpLength);
  writeEthernet(frame, envelope.destinationMac, envelope.sourceMac, ETHERTYPE_IPV4);
  writeIpv4(frame, ETHERNET_HEADER, {
    source: envelope.source,
    destination: envelope.destination,
    protocol: PROTOCOL_UDP,
    payloadLength: udpLength,
  });
  const pseudo = pseudoHeaderSum4(envelope.source, envelope.destination, PROTOCOL_UDP, udpLength);
  writeUdp(frame, at, envelope, payload, pseudo);
  return frame;
}

export function encodeUdp6Frame(envelope: UdpEnvelope<Uint8Array>, payload: Uint8Array): Uint8Array {
  const udpLength = UDP_HEADER + payload.length;
  const at = ETHERNET_HEADER + IPV6_HEADER;
  const frame = new Uint8Array(at + udpLength);
  writeEthernet(frame, envelope.destinationMac, envelope.sourceMac, ETHERTYPE_IPV6);
  writeIpv6(frame, ETHERNET_HEADER, {
    source: envelope.source,
    destination: envelope.destination,
    nextHeader: NEXT_HEADER_UDP,
    hopLimit: 64,
    payloadLength: udpLength,
  });
  const pseudo = pseudoHeaderSum6(frame, ETHERNET_HEADER, NEXT_HEADER_UDP, udpLength);
  writeUdp(frame, at, envelope, payload, pseudo);
  return frame;
}

function writeUdp(
  frame: Uint8Array,
  at: number,
  ports: { readonly sourcePort: number; readonly destinationPort: number },
  payload: Uint8Array,
  pseudoHeaderSum: number,
): void {
  putU16(frame, at, ports.sourcePort);
  putU16(frame, at + 2, ports.destinationPort);
  putU16(frame, at + 4, UDP_HEADER + payload.length);
  frame.set(payload, at + UDP_HEADER);
  putU16(frame, at + 6, udpChecksumOf(sumWords(frame, at, frame.length) + pseudoHeaderSum));
}
