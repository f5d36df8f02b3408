/**
 * DHCPv6 messages between client and server (RFC 8415), bytes ⇄ values. Relay messages (types 12 and 13) have
 * another header and are refused: at the guest's door there is no relay.
 *
 * Options nest (an IA holds addresses, an address holds a status) and keep their order; each level is decoded by
 * its own function, so that no depth of nesting in a packet becomes depth of the stack.
 */
import { concatBytes, putU16, putU32, u16, u16Bytes, u32 } from "./bytes.ts";
import type { Malformed } from "./malformed.ts";

export const DHCP6_SERVER_PORT = 547;
export const DHCP6_CLIENT_PORT = 546;

export const SOLICIT = 1;
export const ADVERTISE = 2;
export const REQUEST6 = 3;
export const CONFIRM = 4;
export const RENEW = 5;
export const REBIND = 6;
export const REPLY = 7;
export const RELEASE6 = 8;
export const DECLINE6 = 9;
export const RECONFIGURE = 10;
export const INFORMATION_REQUEST = 11;
export const RELAY_FORW = 12;
const RELAY_REPL = 13;

export const OPT_CLIENT_ID = 1;
export const OPT_SERVER_ID = 2;
export const OPT_IA_NA = 3;
export const OPT_IA_TA = 4;
export const OPT_IA_ADDRESS = 5;
export const OPT_PREFERENCE = 7;
export const OPT_STATUS = 13;
export const OPT_RAPID_COMMIT = 14;
/** RFC 3646. */
export const OPT_DNS_SERVERS = 23;
export const OPT_DOMAIN_LIST = 24;
export const OPT_IA_PD = 25;

export const STATUS_SUCCESS = 0;
export const STATUS_NO_ADDRS_AVAIL = 2;
export const STATUS_NO_BINDING = 3;
export const STATUS_NOT_ON_LINK = 4;
export const STATUS_NO_PREFIX_AVAIL = 6;

export interface Dhcp6Option {
  readonly code: number;
  readonly value: Uint8Array;
}

export interface Dhcp6Message {
  readonly type: number;
  /** 24 bits. */
  readonly transactionId: number;
  readonly options: readonly Dhcp6Option[];
}

export function decodeDhcp6(bytes: Uint8Array): Dhcp6Message | Malformed {
  if (bytes.length < 4) return "truncated";
  const type = bytes[0] ?? 0;
  if (type === RELAY_FORW || type === RELAY_REPL) return "other-protocol";
  const options = decodeOptions6(bytes, 4);
  if (typeof options === "string") return options;
  return { type, transactionId: u32(bytes, 0) & 0xffffff, options };
}

export function encodeDhcp6(message: Dhcp6Message): Uint8Array {
  const head = new Uint8Array(4);
  putU32(head, 0, message.transactionId & 0xffffff);
  head[0] = message.type;
  return concatBytes([head, encodeOptions6(message.options)]);
}

export function decodeOptions6(bytes: Uint8Array, from = 0): readonly Dhcp6Option[] | Malformed {
  const options: Dhcp6Option[] = [];
  let at = from;
  while (at < bytes.length) {
    const end = at + 4 + u16(bytes, at + 2);
    if (at + 4 > bytes.length || end > bytes.length) return "truncated";
    options.push({ code: u16(bytes, at), value: bytes.subarray(at + 4, end) });
    at = end;
  }
  return options;
}

/** Values longer than 65,535 bytes have no form and are a mistake of the caller. */
export function encodeOptions6(options: readonly Dhcp6Option[]): Uint8Array {
  return concatBytes(
    options.flatMap(({ code, value }) => {
      const head = new Uint8Array(4);
      putU16(head, 0, code);
      putU16(head, 2, value.length);
      return [head, value];
    }),
  );
}

export function findOption6(options: readonly Dhcp6Option[], code: number): Uint8Array | undefined {
  return options.find((option) => option.code === code)?.value;
}

/** IA_NA and IA_PD (RFC 8415, 21.4 and 21.21). IA_TA has no T1 and T2: 21.5. */
export interface IdentityAssociation {
  readonly iaid: number;
  readonly t1: number;
  readonly t2: number;
  readonly options: readonly Dhcp6Option[];
}

export function decodeIa(value: Uint8Array): IdentityAssociation | Malformed {
  if (value.length < 12) return "truncated";
  const options = decodeOptions6(value, 12);
  if (typeof options === "string") return options;
  return { iaid: u32(value, 0), t1: u32(value, 4), t2: u32(value, 8), options };
}

export function encodeIa(ia: IdentityAssociation): Uint8Array {
  const head = new Uint8Array(12);
  putU32(head, 0, ia.iaid);
  putU32(head, 4, ia.t1);
  putU32(head, 8, ia.t2);
  return concatBytes([head, encodeOptions6(ia.options)]);
}

export interface IaAddress {
  /** 16 bytes. */
  readonly address: Uint8Array;
  readonly preferredSeconds: number;
  readonly validSeconds: number;
  readonly options: readonly Dhcp6Option[];
}

export function decodeIaAddress(value: Uint8Array): IaAddress | Malformed {
  if (value.length < 24) return "truncated";
  const options = decodeOptions6(value, 24);
  if (typeof options === "string") return options;
  return {
    address: value.subarray(0, 16),
    preferredSeconds: u32(value, 16),
    validSeconds: u32(value, 20),
    options,
  };
}

export function encodeIaAddress(address: IaAddress): Uint8Array {
  const head = new Uint8Array(24);
  head.set(address.address.subarray(0, 16));
  putU32(head, 16, address.preferredSeconds);
  putU32(head, 20, address.validSeconds);
  return concatBytes([head, encodeOptions6(address.options)]);
}

export function encodeStatus(code: number, message: string): Uint8Array {
  return concatBytes([u16Bytes(code), new TextEncoder().encode(message)]);
}

export function decodeStatus(value: Uint8Array): { code: number; message: string } | Malformed {
  if (value.length < 2) return "truncated";
  return { code: u16(value, 0), message: new TextDecoder().decode(value.subarray(2)) };
}

/** DUID-LL of an Ethernet address (RFC 8415, 11.4). */
export function duidLinkLayer(mac: Uint8Array): Uint8Array {
  return concatBytes([u16Bytes(3), u16Bytes(1), mac]);
}
