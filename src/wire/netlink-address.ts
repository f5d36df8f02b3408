/** RTM_*ADDR messages (include/uapi/linux/if_addr.h). */
import {
  type Cidr,
  cidrIp,
  cidrPrefix,
  familyOf,
  type Ip,
  ipFromBytes,
  ipToBytes,
  netmaskOf,
  toCidr,
} from "../base/ip.ts";
import { attribute, concat, decodeAttributes, readU32, u32Attribute, viewOf } from "./netlink.ts";

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
/** A bridge without carrier never finishes duplicate address detection, so it is not started. */
const IFA_F_NODAD = 2;
/** Not set on what the kernel made of router advertisements. */
const IFA_F_PERMANENT = 0x80;
const AF_INET = 2;
const AF_INET6 = 10;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

export interface AddressInfo {
  /** ifindex. */
  readonly link: number;
  /** The link's own address; the prefix is the peer's where there is one. */
  readonly address: Cidr;
  /** The other end of a point-to-point address. */
  readonly peer?: Ip;
  /** IPv6, not for ever: made of a router's advertisement. Told only. */
  readonly advertised?: true;
  /** Asked for only: duplicate address detection is due, and on a link that is down it never comes. */
  readonly tentative?: true;
}

export function encodeAddress({ link, address, peer, tentative }: AddressInfo): Uint8Array {
  const bytes = ipToBytes(cidrIp(address));
  const family6 = familyOf(address) === 6;
  // As CNI plugins set it, so that what is given back is what was taken.
  const hasBroadcast = !family6 && peer === undefined && cidrPrefix(address) < 31;
  const header = new Uint8Array(IFADDRMSG);
  header[0] = family6 ? AF_INET6 : AF_INET;
  header[1] = cidrPrefix(address);
  header[3] = address.startsWith("fe80:") ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  viewOf(header).setUint32(4, link, true);
  return concat(
    header,
    attribute(IFA_LOCAL, bytes),
    attribute(IFA_ADDRESS, peer === undefined ? bytes : ipToBytes(peer)),
    ...(family6 && !tentative ? [u32Attribute(IFA_FLAGS, IFA_F_NODAD)] : []),
    ...(hasBroadcast ? [attribute(IFA_BROADCAST, broadcastOf(address))] : []),
  );
}

/** Payload of a dump of all addresses of both families. */
export function encodeAddressQuestion(): Uint8Array {
  return new Uint8Array(IFADDRMSG);
}

/** undefined for families other than IP. */
export function decodeAddress(payload: Uint8Array): AddressInfo | undefined {
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = decodeAttributes(payload.subarray(IFADDRMSG));
  const other = attributes.get(IFA_ADDRESS);
  const own = attributes.get(IFA_LOCAL) ?? other;
  if (own === undefined) return undefined;
  const ip = ipFromBytes(own);
  const peer = other === undefined ? ip : ipFromBytes(other);
  const flags = readU32(attributes.get(IFA_FLAGS)) ?? payload[2] ?? 0;
  return {
    link: viewOf(payload).getUint32(4, true),
    address: toCidr(ip, payload[1] ?? 0),
    ...(peer !== ip && { peer }),
    ...(family === AF_INET6 && (flags & IFA_F_PERMANENT) === 0 && { advertised: true as const }),
  };
}

function broadcastOf(address: Cidr): Uint8Array {
  const mask = ipToBytes(netmaskOf(cidrPrefix(address)));
  return ipToBytes(cidrIp(address)).map((byte, i) => byte | (~(mask[i] ?? 0) & 0xff));
}
