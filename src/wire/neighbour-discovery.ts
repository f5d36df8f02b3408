/** Neighbour discovery of IPv6 (RFC 4861, 4.3 and 4.4): questions and answers. Whole frames. */

import { decodeEthernet, ETHERTYPE_IPV6, multicastMac6 } from "./ethernet.ts";
import { checkIcmp6, encodeIcmp6Frame, ND_HOP_LIMIT } from "./icmpv6.ts";
import { ALL_NODES, decodeIpv6, isUnspecified, NEXT_HEADER_ICMPV6 } from "./ipv6.ts";
import type { Malformed } from "./malformed.ts";

const SOLICIT = 135;
const ADVERT = 136;
/** Type, code, checksum, flags, target. */
const HEADER = 24;
const ROUTER = 0x80;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;
const OPT_SOURCE_LINK_LAYER = 1;
const OPT_TARGET_LINK_LAYER = 2;

export interface NeighbourQuestion {
  readonly sourceMac: Uint8Array;
  /** Unspecified where the asker has no address: the answer then goes to all nodes. */
  readonly source: Uint8Array;
  readonly target: Uint8Array;
}

export function encodeNeighbourQuestion({ sourceMac, source, target }: NeighbourQuestion): Uint8Array {
  // Whoever asks without an address must not tell its MAC (RFC 4861, 4.3).
  const message = new Uint8Array(HEADER + (isUnspecified(source) ? 0 : 8));
  message[0] = SOLICIT;
  message.set(target, 8);
  if (!isUnspecified(source)) {
    message.set([OPT_SOURCE_LINK_LAYER, 1], HEADER);
    message.set(sourceMac, HEADER + 2);
  }
  const destination = solicitedNode(target);
  return encodeIcmp6Frame(
    { sourceMac, destinationMac: multicastMac6(destination), source, destination },
    message,
  );
}

export function decodeNeighbourQuestion(bytes: Uint8Array): NeighbourQuestion | Malformed {
  const found = decodeMessage(bytes, SOLICIT);
  if (typeof found === "string") return found;
  const { sourceMac, source, message } = found;
  return { sourceMac, source, target: message.subarray(8, HEADER) };
}

export interface NeighbourAnswer {
  readonly ip: Uint8Array;
  readonly mac: Uint8Array;
}

/**
 * To the asker, or to all nodes where the asker has no address (RFC 4861, 7.2.4).
 *
 * @param isRouter a guest that hears of its router without this flag takes it off its list (7.2.5)
 */
export function encodeNeighbourAnswer(
  { ip, mac, isRouter }: NeighbourAnswer & { readonly isRouter: boolean },
  asker: NeighbourQuestion,
): Uint8Array {
  const toAll = isUnspecified(asker.source);
  const destination = toAll ? ALL_NODES : asker.source;
  const message = new Uint8Array(HEADER + 8);
  message[0] = ADVERT;
  message[4] = (isRouter ? ROUTER : 0) | (toAll ? 0 : SOLICITED) | OVERRIDE;
  message.set(ip, 8);
  message.set([OPT_TARGET_LINK_LAYER, 1], HEADER);
  message.set(mac, HEADER + 2);
  const destinationMac = toAll ? multicastMac6(destination) : asker.sourceMac;
  return encodeIcmp6Frame({ sourceMac: mac, destinationMac, source: ip, destination }, message);
}

export function decodeNeighbourAnswer(bytes: Uint8Array): NeighbourAnswer | Malformed {
  const found = decodeMessage(bytes, ADVERT);
  if (typeof found === "string") return found;
  const { sourceMac, message } = found;
  return { ip: message.subarray(8, HEADER), mac: targetMac(message) ?? sourceMac };
}

interface Message {
  readonly sourceMac: Uint8Array;
  readonly source: Uint8Array;
  readonly message: Uint8Array;
}

function decodeMessage(bytes: Uint8Array, type: number): Message | Malformed {
  const frame = decodeEthernet(bytes);
  if (typeof frame === "string") return frame;
  if (frame.etherType !== ETHERTYPE_IPV6) return "other-protocol";
  const packet = decodeIpv6(frame.payload);
  if (typeof packet === "string") return packet;
  const message = packet.payload;
  if (packet.nextHeader !== NEXT_HEADER_ICMPV6 || message[0] !== type) return "other-protocol";
  if (message.length < HEADER) return "truncated";
  if (packet.hopLimit !== ND_HOP_LIMIT || message[1] !== 0) return "bad-header";
  const wrong = checkIcmp6(frame.payload, message);
  if (wrong !== undefined) return wrong;
  return { sourceMac: frame.source, source: packet.source, message };
}

/** An answer to a question that was sent to one node only may leave its MAC out (RFC 4861, 4.4). */
function targetMac(message: Uint8Array): Uint8Array | undefined {
  for (let at = HEADER; at + 8 <= message.length; at += 8 * (message[at + 1] || 1)) {
    if (message[at] === OPT_TARGET_LINK_LAYER && message[at + 1] === 1)
      return message.subarray(at + 2, at + 8);
  }
  return undefined;
}

/** ff02::1:ff and the last three bytes (RFC 4291, 2.7.1). */
function solicitedNode(target: Uint8Array): Uint8Array {
  const group = new Uint8Array(16);
  group.set([0xff, 0x02]);
  group.set([0x01, 0xff], 11);
  group.set(target.subarray(13), 13);
  return group;
}
