/** ARP for IPv4 over Ethernet (RFC 826, RFC 5227): questions and answers. Whole frames. */
import { putU16, u16 } from "./bytes.ts";
import { BROADCAST_MAC, decodeEthernet, ETHERNET_HEADER, writeEthernet } from "./ethernet.ts";
import type { Malformed } from "./malformed.ts";

export const ETHERTYPE_ARP = 0x0806;
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
  const ends = { senderMac: sourceMac, senderIp: sourceIp, targetIp: target };
  return encodeArp(REQUEST, BROADCAST_MAC, ends);
}

export function decodeArpQuestion(bytes: Uint8Array): ArpQuestion | Malformed {
  const message = decodeArp(bytes, REQUEST);
  if (typeof message === "string") return message;
  return {
    sourceMac: message.subarray(AT.senderMac, AT.senderIp),
    sourceIp: message.subarray(AT.senderIp, AT.targetMac),
    target: message.subarray(AT.targetIp, MESSAGE),
  };
}

export interface ArpAnswer {
  readonly ip: Uint8Array;
  readonly mac: Uint8Array;
}

/** To the asker alone. */
export function encodeArpAnswer({ ip, mac }: ArpAnswer, asker: ArpQuestion): Uint8Array {
  const { sourceMac: targetMac, sourceIp: targetIp } = asker;
  return encodeArp(REPLY, targetMac, { senderMac: mac, senderIp: ip, targetMac, targetIp });
}

export function decodeArpAnswer(bytes: Uint8Array): ArpAnswer | Malformed {
  const message = decodeArp(bytes, REPLY);
  if (typeof message === "string") return message;
  return {
    mac: message.subarray(AT.senderMac, AT.senderIp),
    ip: message.subarray(AT.senderIp, AT.targetMac),
  };
}

interface Ends {
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac?: Uint8Array;
  readonly targetIp: Uint8Array;
}

function encodeArp(operation: number, destination: Uint8Array, ends: Ends): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + MESSAGE);
  writeEthernet(frame, destination, ends.senderMac, ETHERTYPE_ARP);
  const message = frame.subarray(ETHERNET_HEADER);
  putU16(message, 0, ETHERNET);
  putU16(message, 2, IPV4);
  message[4] = 6;
  message[5] = 4;
  putU16(message, AT.operation, operation);
  message.set(ends.senderMac, AT.senderMac);
  message.set(ends.senderIp, AT.senderIp);
  if (ends.targetMac !== undefined) message.set(ends.targetMac, AT.targetMac);
  message.set(ends.targetIp, AT.targetIp);
  return frame;
}

function decodeArp(bytes: Uint8Array, operation: number): Uint8Array | Malformed {
  const frame = decodeEthernet(bytes);
  if (typeof frame === "string") return frame;
  if (frame.etherType !== ETHERTYPE_ARP) return "other-protocol";
  const message = frame.payload;
  if (message.length < MESSAGE) return "truncated";
  const plain =
    u16(message, 0) === ETHERNET && u16(message, 2) === IPV4 && message[4] === 6 && message[5] === 4;
  if (!plain) return "bad-header";
  return u16(message, AT.operation) === operation ? message : "other-protocol";
}
