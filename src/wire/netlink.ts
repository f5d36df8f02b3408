/**
 * Netlink framing (RFC 3549, include/uapi/linux/netlink.h): messages and their attributes, both directions.
 *
 *   message    length u32 | type u16 | flags u16 | sequence u32 | port u32 | payload, padded to 4
 *   attribute  length u16 | type u16 | value, padded to 4; an attribute may hold attributes
 *
 * Numbers are in the host's order, and the hosts podtap runs on (x86-64, arm64) are little-endian; what a protocol
 * wants in network order (addresses, ports) comes as bytes. A message that is cut short ends decoding with an
 * error: it came from the kernel, so our buffer was too small.
 */

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** A dump during which the dumped things changed: it may lack some or show some twice. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** In acks: only the header of the request follows, then attributes. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const NLMSGERR_ATTR_MSG = 1;
const HEADER = 16;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** What a request is answered with at its end. */
export interface NetlinkAck {
  /** 0: done. */
  readonly errno: number;
  /** The kernel's explanation, often absent. */
  readonly said?: string;
}

export type Attributes = ReadonlyMap<number, Uint8Array>;

export function encodeMessage({ type, flags, sequence, payload }: NetlinkMessage): Uint8Array {
  const bytes = new Uint8Array(HEADER + align(payload.length));
  const view = viewOf(bytes);
  view.setUint32(0, HEADER + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(payload, HEADER);
  return bytes;
}

/** All messages of a received datagram; payloads are views into it. */
export function decodeMessages(bytes: Uint8Array): readonly NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + HEADER <= bytes.length ? view.getUint32(at, true) : 0;
    if (length < HEADER || at + length > bytes.length) throw new RangeError("a netlink message is cut short");
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: bytes.subarray(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Reads an NLMSG_ERROR, or the NLMSG_DONE that ends a dump. */
export function decodeAck({ type, flags, payload }: NetlinkMessage): NetlinkAck {
  if (payload.length < 4) return { errno: 0 };
  const view = viewOf(payload);
  const errno = Math.abs(view.getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  // An error repeats the request, whole or (capped) its header; a DONE repeats nothing.
  const request =
    (flags & NLM_F_CAPPED) !== 0 ? HEADER : align(payload.length > 8 ? view.getUint32(4, true) : 0);
  const said = decodeAttributes(payload.subarray(4 + (type === NLMSG_ERROR ? request : 0))).get(
    NLMSGERR_ATTR_MSG,
  );
  return said === undefined ? { errno } : { errno, said: readText(said) };
}

export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + align(value.length));
  const view = viewOf(bytes);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, concat(...attributes));
}

export function u8Attribute(type: number, value: number): Uint8Array {
  return attribute(type, Uint8Array.of(value));
}

export function u32Attribute(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return attribute(type, bytes);
}

/** Zero-terminated, as names and aliases are. */
export function textAttribute(type: number, text: string): Uint8Array {
  return attribute(type, concat(new TextEncoder().encode(text), Uint8Array.of(0)));
}

/** By type; of a type that occurs twice the last counts, as in the kernel. Rubbish at the end is left out. */
export function decodeAttributes(bytes: Uint8Array): Attributes {
  const view = viewOf(bytes);
  const attributes = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return attributes;
}

export function readU8(value: Uint8Array | undefined): number | undefined {
  return value?.[0];
}

export function readU32(value: Uint8Array | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : viewOf(value).getUint32(0, true);
}

/** Up to the first zero byte. */
export function readText(value: Uint8Array): string {
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
