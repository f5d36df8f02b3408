/**
 * DHCPv4 messages (RFC 2131), bytes ⇄ values.
 *
 * Theory of operation. A message is a fixed BOOTP header of 236 bytes, the magic cookie and options. An option that
 * comes several times is one value in pieces (RFC 3396); pieces are joined in order. Option 52 says that `file` or
 * `sname` hold options too: they are read after the option field, `file` first, and are then no texts.
 *
 * Options are raw values by code: what they mean is dhcp4-options.ts. IPv4 addresses are unsigned 32-bit numbers.
 */
import { concatBytes, putU16, putU32, u16, u32 } from "./bytes.ts";
import { END, OVERLOAD, PAD } from "./dhcp4-options.ts";
import type { Malformed } from "./malformed.ts";

export const DHCP4_SERVER_PORT = 67;
export const DHCP4_CLIENT_PORT = 68;
const DHCP4_HEADER = 236;
/** Header and cookie: where the options begin. */
export const DHCP4_OPTIONS_AT = 240;
/** Shorter messages are thrown away by BOOTP relays and some clients (RFC 1542, 2.1). */
export const DHCP4_MIN_LENGTH = 300;
export const BOOTREQUEST = 1;
export const BOOTREPLY = 2;
export const BROADCAST_FLAG = 0x8000;
const MAGIC_COOKIE = 0x63825363;
const SNAME_AT = 44;
const FILE_AT = 108;

/** Field names are the RFC's. */
export interface Dhcp4Message {
  readonly op: number;
  readonly htype: number;
  readonly hlen: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  readonly flags: number;
  readonly ciaddr: number;
  readonly yiaddr: number;
  readonly siaddr: number;
  readonly giaddr: number;
  /** All 16 bytes of the field; `hlen` of them count. */
  readonly chaddr: Uint8Array;
  /** 64 bytes. */
  readonly sname: Uint8Array;
  /** 128 bytes. */
  readonly file: Uint8Array;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** The arrays of the result are views of `bytes`, but for options that came in pieces. */
export function decodeDhcp4(bytes: Uint8Array): Dhcp4Message | Malformed {
  if (bytes.length < DHCP4_OPTIONS_AT) return "truncated";
  if (u32(bytes, DHCP4_HEADER) !== MAGIC_COOKIE) return "bad-header";
  const hlen = bytes[2] ?? 0;
  if (hlen > 16) return "bad-length";
  const options = new Map<number, Uint8Array>();
  const malformed = readAllOptions(bytes, options);
  if (malformed !== undefined) return malformed;
  return {
    op: bytes[0] ?? 0,
    htype: bytes[1] ?? 0,
    hlen,
    hops: bytes[3] ?? 0,
    xid: u32(bytes, 4),
    secs: u16(bytes, 8),
    flags: u16(bytes, 10),
    ciaddr: u32(bytes, 12),
    yiaddr: u32(bytes, 16),
    siaddr: u32(bytes, 20),
    giaddr: u32(bytes, 24),
    chaddr: bytes.subarray(28, 44),
    sname: bytes.subarray(SNAME_AT, FILE_AT),
    file: bytes.subarray(FILE_AT, DHCP4_HEADER),
    options,
  };
}

/** Options in the order of the map; padded to `minLength`. Arrays longer than their field are a RangeError. */
export function encodeDhcp4(message: Dhcp4Message, minLength: number = DHCP4_MIN_LENGTH): Uint8Array {
  const options = encodeOptions(message.options);
  const bytes = new Uint8Array(Math.max(minLength, DHCP4_OPTIONS_AT + options.length + 1));
  writeDhcp4Header(bytes, message);
  bytes.set(options, DHCP4_OPTIONS_AT);
  bytes[DHCP4_OPTIONS_AT + options.length] = END;
  return bytes;
}

/** Header and cookie. */
export function writeDhcp4Header(bytes: Uint8Array, message: Omit<Dhcp4Message, "options">): void {
  bytes[0] = message.op;
  bytes[1] = message.htype;
  bytes[2] = message.hlen;
  bytes[3] = message.hops;
  putU32(bytes, 4, message.xid);
  putU16(bytes, 8, message.secs);
  putU16(bytes, 10, message.flags);
  putU32(bytes, 12, message.ciaddr);
  putU32(bytes, 16, message.yiaddr);
  putU32(bytes, 20, message.siaddr);
  putU32(bytes, 24, message.giaddr);
  bytes.set(message.chaddr.subarray(0, 16), 28);
  bytes.set(message.sname.subarray(0, 64), SNAME_AT);
  bytes.set(message.file.subarray(0, 128), FILE_AT);
  putU32(bytes, DHCP4_HEADER, MAGIC_COOKIE);
}

/** Code, length, value; a code may be given several times, and values over 255 bytes are split (RFC 3396). */
export function encodeOptions(options: Iterable<readonly [number, Uint8Array]>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [code, value] of options) {
    let at = 0;
    do {
      const piece = value.subarray(at, at + 255);
      parts.push(Uint8Array.of(code, piece.length), piece);
      at += 255;
    } while (at < value.length);
  }
  return concatBytes(parts);
}

function readAllOptions(bytes: Uint8Array, options: Map<number, Uint8Array>): Malformed | undefined {
  const malformed = readOptions(bytes, DHCP4_OPTIONS_AT, bytes.length, options);
  if (malformed !== undefined) return malformed;
  const overload = options.get(OVERLOAD);
  if (overload === undefined) return undefined;
  const fields = overload[0] ?? 0;
  if (overload.length !== 1 || fields < 1 || fields > 3) return "bad-length";
  return (
    ((fields & 1) !== 0 ? readOptions(bytes, FILE_AT, DHCP4_HEADER, options) : undefined) ??
    ((fields & 2) !== 0 ? readOptions(bytes, SNAME_AT, FILE_AT, options) : undefined)
  );
}

function readOptions(
  bytes: Uint8Array,
  from: number,
  to: number,
  options: Map<number, Uint8Array>,
): Malformed | undefined {
  let at = from;
  while (at < to) {
    const code = bytes[at] ?? END;
    if (code === END) return undefined;
    at += 1;
    if (code === PAD) continue;
    const end = at + 1 + (bytes[at] ?? 0);
    if (at >= to || end > to) return "truncated";
    const piece = bytes.subarray(at + 1, end);
    const before = options.get(code);
    options.set(code, before === undefined ? piece : concatBytes([before, piece]));
    at = end;
  }
  // Option 255 is missing: everything was complete, nothing is lost.
  return undefined;
}
