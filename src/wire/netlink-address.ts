/** RTM_*ADDR messages (include/uapi/linux/if_addr.h). */
import { type Cidr, cidrIp, cidrPrefix, familyOf, ipFromBytes, ipToBytes, toCidr } from "../base/ip.ts";
import { attribute, concat, decodeAttributes, u32Attribute, viewOf } from "./netlink.ts";

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
/** A bridge without carrier never finishes duplicate address detection, so it is not started. */
const IFA_F_NODAD = 2;
const AF_INET = 2;
const AF_INET6 = 10;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

export interface AddressInfo {
  /** ifindex. */
  readonly link: number;
  /** The link's own address; the prefix is the peer's on point-to-point links. */
  readonly address: Cidr;
}

export function encodeAddress({ link, address }: AddressInfo): Uint8Array {
  const bytes = ipToBytes(cidrIp(address));
  const family6 = familyOf(address) === 6;
  const header = new Uint8Array(IFADDRMSG);
  header[0] = family6 ? AF_INET6 : AF_INET;
  header[1] = cidrPrefix(address);
  header[3] = address.startsWith("fe80:") ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  viewOf(header).setUint32(4, link, true);
  return concat(
    header,
    attribute(IFA_LOCAL, bytes),
    attribute(IFA_ADDRESS, bytes),
    ...(family6 ? [u32Attribute(IFA_FLAGS, IFA_F_NODAD)] : []),
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
  const own = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (own === undefined) return undefined;
  return { link: viewOf(payload).getUint32(4, true), address: toCidr(ipFromBytes(own), payload[1] ?? 0) };
}
