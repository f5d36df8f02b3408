/** ARP for IPv4 over Ethernet (RFC 826, RFC 5227): the question, and who answered it. Whole frames. */
import { putU16, u16 } from "./bytes.ts";
import { BROADCAST_MAC, decodeEthernet, ETHERNET_HEADER, writeEthernet } from "./ethernet.ts";
import type { Malformed } from "./malformed.ts";

const ETHERTYPE_ARP = 0x0806;
const ETHERNET = 1;
const IPV4 = 0x0800;
const REQUEST = 1;
const REPLY = 2;
const MESSAGE = 28;
const AT = { operation: 6, senderMac: 8, senderIp: 14, targetMac: 18, targetIp: 24 } as const;

export interface ArpQuestion {
  readonly sourceMac: Uint8Array;
  /** Four zeros where the asker has no address: nobody remembers it then. */
  readonly sourceIp: Uint8Array;
  readonly target: Uint8Array;
}

export function encodeArpQuestion({ sourceMac, sourceIp, target }: ArpQuestion): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + MESSAGE);
  writeEthernet(frame, BROADCAST_MAC, sourceMac, ETHERTYPE_ARP);
  const message = frame.subarray(ETHERNET_HEADER);
  putU16(message, 0, ETHERNET);
  putU16(message, 2, IPV4);
  message[4] = 6;
  message[5] = 4;
  putU16(message, AT.operation, REQUEST);
  message.set(sourceMac, AT.senderMac);
  message.set(sourceIp, AT.senderIp);
  message.set(target, AT.targetIp);
  return frame;
}

export interface ArpAnswer {
  readonly ip: Uint8Array;
  readonly mac: Uint8Array;
}

export function decodeArpAnswer(bytes: Uint8Array): ArpAnswer | Malformed {
  const frame = decodeEthernet(bytes);
  if (typeof frame === "string") return frame;
  if (frame.etherType !== ETHERTYPE_ARP) return "other-protocol";
  const message = frame.payload;
  if (message.length < MESSAGE) return "truncated";
  const plain =
    u16(message, 0) === ETHERNET && u16(message, 2) === IPV4 && message[4] === 6 && message[5] === 4;
  if (!plain) return "bad-header";
  if (u16(message, AT.operation) !== REPLY) return "other-protocol";
  return {
    mac: message.subarray(AT.senderMac, AT.senderIp),
    ip: message.subarray(AT.senderIp, AT.targetMac),
  };
}
