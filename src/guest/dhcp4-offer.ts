/**
 * Which options a guest is given by DHCPv4, and which of them when it takes only short messages.
 *
 * All configured options are always sent, whatever the client's parameter request list says, as KubeVirt does:
 * manifests rely on it. Their order is their priority. Where the client's maximum message size (option 57)
 * is too small, lists end early, other options are left out whole, and what follows is still tried: the same request
 * always gets the same answer.
 */
import { cidrIp, cidrPrefix, familyOf, type Ip, ipFromBytes, ipToBytes, netmaskOf } from "../base/ip.ts";
import { concatBytes, u16Bytes, u32Bytes } from "../wire/bytes.ts";
import { encodeOptions } from "../wire/dhcp4.ts";
import {
  BOOT_FILE_NAME,
  BROADCAST_ADDRESS,
  CLASSLESS_ROUTES,
  type ClasslessRoute,
  DNS_SERVERS,
  DOMAIN_NAME,
  DOMAIN_SEARCH,
  encodeClasslessRoute,
  encodedNames,
  HOST_NAME,
  INTERFACE_MTU,
  isDefaultRoute,
  NTP_SERVERS,
  PRIVATE_FIRST,
  PRIVATE_LAST,
  piecesOf,
  ROUTER,
  SUBNET_MASK,
  TFTP_SERVER_NAME,
} from "../wire/dhcp4-options.ts";
import type { Dhcp4Config } from "./config.ts";
import { longestDomain, servedSearchDomains } from "./search-domains.ts";

export interface OfferedOptions {
  /** Encoded options, as many as fit into `room` bytes. */
  fit(room: number): Uint8Array;
  readonly notes: readonly string[];
}

/** One option: its value in units that are not cut, as a name in a list is not. */
interface Block {
  readonly code: number;
  readonly units: readonly Uint8Array[];
  /** With all units. */
  readonly bytes: Uint8Array;
  /** The first units are of use without the others. */
  readonly mayEndEarly: boolean;
}

/** @param mostRoom what the largest message has for these options */
export function offeredOptions(config: Dhcp4Config, mostRoom: number): OfferedOptions {
  const search = servedSearchDomains(config.searchDomains);
  const blocks = [...networkBlocks(config), ...nameBlocks(config, search.served), ...bootBlocks(config)];
  const most = fitting(blocks, mostRoom);
  const full = concatBytes(most);
  return {
    fit: (room) => (full.length <= room ? full : concatBytes(fitting(blocks, room))),
    notes: [
      ...search.notes,
      ...blocks
        .filter(({ bytes }, i) => (most[i]?.length ?? 0) < bytes.length)
        .map(({ code, bytes }) => `DHCP option ${code} (${bytes.length} bytes) does not fit into a packet`),
    ],
  };
}

function networkBlocks(config: Dhcp4Config): readonly Block[] {
  const prefix = cidrPrefix(config.lease);
  const mask = ipToBytes(netmaskOf(prefix));
  return [
    ...block(SUBNET_MASK, mask),
    ...block(ROUTER, config.router === undefined ? [] : ipToBytes(config.router)),
    ...routesBlock(config),
    // Never empty: a zero-length option 6 makes clients refuse the whole answer (RFC 2132, 3.8: minimum 4).
    ...list(DNS_SERVERS, onlyIpv4(config.nameservers).map(ipToBytes)),
    ...block(INTERFACE_MTU, u16Bytes(Math.min(config.mtu, 0xffff))),
    // Two addresses and fewer have no broadcast address (RFC 3021).
    ...block(BROADCAST_ADDRESS, prefix <= 30 ? ipToBytes(broadcastAddress(config)) : []),
  ];
}

function nameBlocks(config: Dhcp4Config, searchDomains: readonly string[]): readonly Block[] {
  return [
    ...block(HOST_NAME, utf8(config.hostname)),
    ...block(DOMAIN_NAME, utf8(longestDomain(searchDomains) ?? "")),
    ...list(DOMAIN_SEARCH, encodedNames(searchDomains)),
    ...list(NTP_SERVERS, onlyIpv4(config.ntpServers).map(ipToBytes)),
  ];
}

function bootBlocks(config: Dhcp4Config): readonly Block[] {
  // The last one of a number wins, as in KubeVirt's map.
  const values = new Map(config.privateOptions.map(({ option, value }) => [option, value]));
  const numbers = [...values.keys()].filter((code) => code >= PRIVATE_FIRST && code <= PRIVATE_LAST);
  return [
    ...block(TFTP_SERVER_NAME, utf8(config.tftpServerName ?? "")),
    ...block(BOOT_FILE_NAME, utf8(config.bootFileName ?? "")),
    ...numbers.sort((a, b) => a - b).flatMap((code) => block(code, utf8(values.get(code) ?? ""))),
  ];
}

/**
 * Default routes last, other order kept, as KubeVirt. A client that reads option 121 must not read option 3 (RFC
 * 3442), so the router goes in here too where the routes have no default.
 */
function routesBlock(config: Dhcp4Config): readonly Block[] {
  const { routes, router } = config;
  const wanted = routes.filter((route) => familyOf(route.destination) === 4);
  if (wanted.length === 0) return [];
  const defaults: readonly ClasslessRoute[] = wanted.filter(isDefaultRoute);
  const needsRouter = defaults.length === 0 && router !== undefined;
  const all: readonly ClasslessRoute[] = [
    ...wanted.filter((route) => !isDefaultRoute(route)),
    ...defaults,
    ...(needsRouter ? [{ destination: DEFAULT, gateway: router }] : []),
  ];
  const units = all.map(encodeClasslessRoute);
  // All or none: some of the routes without the default one would cut the guest off.
  return [{ code: CLASSLESS_ROUTES, units, bytes: encodeUnits(CLASSLESS_ROUTES, units), mayEndEarly: false }];
}

const DEFAULT = "0.0.0.0/0" as ClasslessRoute["destination"];

/** None for an empty value: no option here has a meaning without one. */
function block(code: number, value: Uint8Array | readonly number[]): readonly Block[] {
  const units = [Uint8Array.from(value)];
  return value.length === 0 ? [] : [{ code, units, bytes: encodeUnits(code, units), mayEndEarly: false }];
}

function list(code: number, units: readonly Uint8Array[]): readonly Block[] {
  return units.length === 0 ? [] : [{ code, units, bytes: encodeUnits(code, units), mayEndEarly: true }];
}

/** Pieces end at the border of a unit (`piecesOf`); only a unit over 255 bytes is cut itself. */
function encodeUnits(code: number, units: readonly Uint8Array[]): Uint8Array {
  return encodeOptions(piecesOf(units).map((piece) => [code, piece] as const));
}

/** What is sent of each block, empty for none. */
function fitting(blocks: readonly Block[], room: number): readonly Uint8Array[] {
  let left = room;
  return blocks.map((block) => {
    const bytes = block.bytes.length <= left ? block.bytes : beginning(block, left);
    left -= bytes.length;
    return bytes;
  });
}

function beginning({ code, units, mayEndEarly }: Block, room: number): Uint8Array {
  if (!mayEndEarly) return new Uint8Array(0);
  // Each piece has a head of two bytes.
  let bytes = 0;
  let piece = 256;
  const count = units.findIndex((unit) => {
    const fresh = piece + unit.length > 255;
    piece = fresh ? unit.length : piece + unit.length;
    bytes += unit.length + (fresh ? 2 : 0);
    return bytes > room;
  });
  return encodeUnits(code, units.slice(0, Math.max(count, 0)));
}

function onlyIpv4(addresses: readonly Ip[]): readonly Ip[] {
  return addresses.filter((address) => familyOf(address) === 4);
}

export function broadcastAddress(config: Dhcp4Config): Ip {
  const mask = ipToBytes(netmaskOf(cidrPrefix(config.lease)));
  return ipFromBytes(ipToBytes(cidrIp(config.lease)).map((byte, i) => byte | (~(mask[i] ?? 0) & 0xff)));
}

export function leaseTime(seconds: number): Uint8Array {
  return u32Bytes(Math.min(seconds, 0xffffffff));
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
