/**
 * Which options a guest is given by DHCPv4, and which of them when it takes only short messages.
 *
 * All configured options are always sent, whatever the client's parameter request list says, as KubeVirt does:
 * manifests rely on it. Their order is their priority. What does not fit the client's maximum message size
 * (option 57) is left out whole, and what follows is still tried; so the same request gets the same answer always.
 */
import { cidrIp, cidrPrefix, familyOf, type Ip, ipFromBytes, ipToBytes, netmaskOf } from "../base/ip.ts";
import { concatBytes, u16Bytes, u32Bytes } from "../wire/bytes.ts";
import { encodeOptions } from "../wire/dhcp4.ts";
import {
  addressList,
  BOOT_FILE_NAME,
  BROADCAST_ADDRESS,
  CLASSLESS_ROUTES,
  type ClasslessRoute,
  DNS_SERVERS,
  DOMAIN_NAME,
  DOMAIN_SEARCH,
  encodeClasslessRoute,
  HOST_NAME,
  INTERFACE_MTU,
  isDefaultRoute,
  NTP_SERVERS,
  PRIVATE_FIRST,
  PRIVATE_LAST,
  piecesOf,
  ROUTER,
  SUBNET_MASK,
  searchDomainPieces,
  TFTP_SERVER_NAME,
} from "../wire/dhcp4-options.ts";
import type { Dhcp4Config } from "./config.ts";
import { longestDomain, servedSearchDomains } from "./search-domains.ts";

export interface OfferedOptions {
  /** Encoded options, as many as fit into `room` bytes. */
  fit(room: number): Uint8Array;
  readonly notes: readonly string[];
}

/** Options that are given together or not at all. */
interface Block {
  readonly code: number;
  readonly bytes: Uint8Array;
}

/** @param mostRoom what the largest message has for these options */
export function offeredOptions(config: Dhcp4Config, mostRoom: number): OfferedOptions {
  const search = servedSearchDomains(config.searchDomains);
  const blocks = [...networkBlocks(config), ...nameBlocks(config, search.served), ...bootBlocks(config)];
  const all = fitting(blocks, mostRoom);
  const full = concatBytes(all.map((block) => block.bytes));
  return {
    fit: (room) =>
      full.length <= room ? full : concatBytes(fitting(blocks, room).map((block) => block.bytes)),
    notes: [
      ...search.notes,
      ...blocks
        .filter((block) => !all.includes(block))
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
    ...block(DNS_SERVERS, addressList(onlyIpv4(config.nameservers))),
    ...block(INTERFACE_MTU, u16Bytes(Math.min(config.mtu, 0xffff))),
    // Two addresses and fewer have no broadcast address (RFC 3021).
    ...block(BROADCAST_ADDRESS, prefix <= 30 ? ipToBytes(broadcastAddress(config)) : []),
  ];
}

function nameBlocks(config: Dhcp4Config, searchDomains: readonly string[]): readonly Block[] {
  return [
    ...block(HOST_NAME, utf8(config.hostname)),
    ...block(DOMAIN_NAME, utf8(longestDomain(searchDomains) ?? "")),
    ...searchDomainPieces(searchDomains).flatMap((piece) => block(DOMAIN_SEARCH, piece)),
    ...block(NTP_SERVERS, addressList(onlyIpv4(config.ntpServers))),
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
  // In one block: some of the routes without the default one would cut the guest off.
  const pieces = piecesOf(all.map(encodeClasslessRoute));
  const bytes = encodeOptions(pieces.map((piece) => [CLASSLESS_ROUTES, piece] as const));
  return [{ code: CLASSLESS_ROUTES, bytes }];
}

const DEFAULT = "0.0.0.0/0" as ClasslessRoute["destination"];

/** None for an empty value: no option here has a meaning without one. */
function block(code: number, value: Uint8Array | readonly number[]): readonly Block[] {
  const bytes = Uint8Array.from(value);
  return bytes.length === 0 ? [] : [{ code, bytes: encodeOptions([[code, bytes]]) }];
}

function fitting(blocks: readonly Block[], room: number): readonly Block[] {
  let left = room;
  const missing = new Set<number>();
  return blocks.filter(({ code, bytes }) => {
    // Once a piece of a list is out, the later ones are too: a list may end early but has no holes.
    const fits = bytes.length <= left && !missing.has(code);
    if (fits) left -= bytes.length;
    else missing.add(code);
    return fits;
  });
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
