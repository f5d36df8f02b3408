/** DHCPv4 options by number and their values as bytes (RFC 2132 and what each line names). */
import { type Cidr, cidrIp, cidrNetwork, cidrPrefix, type Ip, ipToBytes } from "../base/ip.ts";
import { concatBytes } from "./bytes.ts";
import { encodeDnsName } from "./dns-names.ts";

export const PAD = 0;
export const SUBNET_MASK = 1;
export const ROUTER = 3;
export const DNS_SERVERS = 6;
export const HOST_NAME = 12;
export const DOMAIN_NAME = 15;
export const INTERFACE_MTU = 26;
export const BROADCAST_ADDRESS = 28;
export const NTP_SERVERS = 42;
export const REQUESTED_ADDRESS = 50;
export const LEASE_SECONDS = 51;
export const OVERLOAD = 52;
export const MESSAGE_TYPE = 53;
export const SERVER_ID = 54;
export const PARAMETER_LIST = 55;
export const MESSAGE_TEXT = 56;
export const MAX_MESSAGE_SIZE = 57;
export const CLIENT_ID = 61;
export const TFTP_SERVER_NAME = 66;
export const BOOT_FILE_NAME = 67;
/** RFC 4039. */
export const RAPID_COMMIT = 80;
/** RFC 3397. */
export const DOMAIN_SEARCH = 119;
/** RFC 3442. */
export const CLASSLESS_ROUTES = 121;
export const PRIVATE_FIRST = 224;
export const PRIVATE_LAST = 254;
export const END = 255;

export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

/** The most that one piece of an option holds. */
const PIECE_MAX = 255;

export function addressList(addresses: readonly Ip[]): Uint8Array {
  return concatBytes(addresses.map(ipToBytes));
}

export interface ClasslessRoute {
  readonly destination: Cidr;
  /** Absent: the destination is on the link itself (0.0.0.0 in the packet). */
  readonly gateway?: Ip;
}

/** Prefix length, the bytes of the network that count, gateway. */
export function encodeClasslessRoute(route: ClasslessRoute): Uint8Array {
  const prefix = cidrPrefix(route.destination);
  const network = ipToBytes(cidrNetwork(route.destination)).subarray(0, Math.ceil(prefix / 8));
  const gateway = route.gateway === undefined ? new Uint8Array(4) : ipToBytes(route.gateway);
  return concatBytes([Uint8Array.of(prefix), network, gateway]);
}

export function decodeClasslessRoutes(
  value: Uint8Array,
): readonly { prefix: number; network: Uint8Array; gateway: Uint8Array }[] | undefined {
  const routes: { prefix: number; network: Uint8Array; gateway: Uint8Array }[] = [];
  for (let at = 0; at < value.length; ) {
    const prefix = value[at] ?? 0;
    const bytes = Math.ceil(prefix / 8);
    if (prefix > 32 || at + 1 + bytes + 4 > value.length) return undefined;
    const network = new Uint8Array(4);
    network.set(value.subarray(at + 1, at + 1 + bytes));
    routes.push({ prefix, network, gateway: value.subarray(at + 1 + bytes, at + 5 + bytes) });
    at += 5 + bytes;
  }
  return routes;
}

export function isDefaultRoute(route: ClasslessRoute): boolean {
  return cidrPrefix(route.destination) === 0 && cidrIp(route.destination) === "0.0.0.0";
}

/** Names in wire form; those without one are left out. */
export function encodedNames(names: readonly string[]): readonly Uint8Array[] {
  return names.flatMap((name) => encodeDnsName(name) ?? []);
}

/**
 * Puts values together into pieces of at most 255 bytes without cutting one. RFC 3396 lets an option be split
 * anywhere and receivers join the pieces; those that do not (busybox 1.35, systemd before 255) still read whole
 * names and addresses this way.
 */
export function piecesOf(values: readonly Uint8Array[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (const value of values) {
    const last = pieces.at(-1);
    if (last !== undefined && last.length + value.length <= PIECE_MAX) {
      pieces[pieces.length - 1] = concatBytes([last, value]);
    } else {
      pieces.push(value);
    }
  }
  return pieces;
}
