/**
 * RTM_*NEIGH messages (include/uapi/linux/neighbour.h): who has an IP address, and, in the family AF_BRIDGE, behind
 * which port a MAC address is.
 */
import { familyOf, type Ip, ipFromBytes, ipToBytes } from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import { attribute, concat, decodeAttributes, viewOf } from "./netlink.ts";

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

const NDMSG = 12;
const NDA = { ip: 1, mac: 2, vlan: 5, master: 9 } as const;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
/** Meant for the bridge, not for the device itself. */
const NTF_MASTER = 0x04;
const AF_INET = 2;
const AF_BRIDGE = 7;
const AF_INET6 = 10;

export interface NeighbourInfo {
  /** ifindex. */
  readonly link: number;
  readonly ip: Ip;
  readonly mac: Mac;
  readonly permanent: boolean;
}

export interface FdbInfo {
  /** ifindex. */
  readonly port: number;
  readonly mac: Mac;
}

/** Payload that sets a permanent neighbour or, without a MAC, deletes one. */
export function encodeNeighbour({ link, ip, mac }: { link: number; ip: Ip; mac?: Mac }): Uint8Array {
  return concat(
    ndmsg(familyOf(ip) === 6 ? AF_INET6 : AF_INET, link, NUD_PERMANENT, 0),
    attribute(NDA.ip, ipToBytes(ip)),
    ...(mac === undefined ? [] : [attribute(NDA.mac, macToBytes(mac))]),
  );
}

/** Payload of a dump of all neighbours of both families. */
export function encodeNeighbourQuestion(): Uint8Array {
  return new Uint8Array(NDMSG);
}

/** undefined for other families, and for who is being looked for. */
export function decodeNeighbour(payload: Uint8Array): NeighbourInfo | undefined {
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = decodeAttributes(payload.subarray(NDMSG));
  const ip = attributes.get(NDA.ip);
  const mac = attributes.get(NDA.mac);
  if (ip === undefined || mac?.length !== 6) return undefined;
  const view = viewOf(payload);
  return {
    link: view.getInt32(4, true),
    ip: ipFromBytes(ip),
    mac: macFromBytes(mac),
    permanent: (view.getUint16(8, true) & NUD_PERMANENT) !== 0,
  };
}

/** Payload of a static entry of the forwarding table of the port's bridge: it neither ages nor moves. */
export function encodeFdbEntry({ port, mac }: FdbInfo): Uint8Array {
  return concat(ndmsg(AF_BRIDGE, port, NUD_NOARP, NTF_MASTER), attribute(NDA.mac, macToBytes(mac)));
}

/** Payload of a dump of all bridges' forwarding tables. */
export function encodeFdbQuestion(): Uint8Array {
  return ndmsg(AF_BRIDGE, 0, 0, 0);
}

/** undefined for learned entries, for the ports' own addresses, and for what a device filters itself. */
export function decodeFdbEntry(payload: Uint8Array): FdbInfo | undefined {
  if (payload[0] !== AF_BRIDGE) return undefined;
  const attributes = decodeAttributes(payload.subarray(NDMSG));
  const mac = attributes.get(NDA.mac);
  const view = viewOf(payload);
  const isStatic = view.getUint16(8, true) === NUD_NOARP;
  // A bridge with VLAN filtering lists an entry once a VLAN; ours are those without.
  if (mac?.length !== 6 || !isStatic || !attributes.has(NDA.master) || attributes.has(NDA.vlan)) {
    return undefined;
  }
  return { port: view.getInt32(4, true), mac: macFromBytes(mac) };
}

function ndmsg(family: number, link: number, state: number, flags: number): Uint8Array {
  const bytes = new Uint8Array(NDMSG);
  const view = viewOf(bytes);
  bytes[0] = family;
  view.setInt32(4, link, true);
  view.setUint16(8, state, true);
  bytes[10] = flags;
  return bytes;
}
