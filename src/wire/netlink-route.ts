/** RTM_NEWROUTE messages (include/uapi/linux/rtnetlink.h), as a dump of the main table gives them. */
import { type Cidr, type Ip, ipFromBytes, toCidr } from "../base/ip.ts";
import { type Attributes, decodeAttributes, readU32, viewOf } from "./netlink.ts";

export const RTM_GETROUTE = 26;

const RTMSG = 12;
const RTNEXTHOP = 8;
const RTA = { destination: 1, link: 4, gateway: 5, metric: 6, multipath: 9, table: 15, via: 18 } as const;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
/** A cached route of one peer, not configuration. */
const RTM_F_CLONED = 0x200;
const AF_INET = 2;
const AF_INET6 = 10;

export interface RouteInfo {
  readonly destination: Cidr;
  readonly gateway?: Ip;
  /** ifindex. */
  readonly link: number;
  readonly metric?: number;
}

/** Payload of a dump of all routes of both families. */
export function encodeRouteQuestion(): Uint8Array {
  return new Uint8Array(RTMSG);
}

/** One entry a hop; nothing for routes of other tables, local, broadcast and unreachable ones. */
export function decodeRoute(payload: Uint8Array): readonly RouteInfo[] {
  const [family, prefix, , , table, , , type] = payload;
  const attributes = decodeAttributes(payload.subarray(RTMSG));
  const inMain = (readU32(attributes.get(RTA.table)) ?? table) === RT_TABLE_MAIN;
  const cloned = (viewOf(payload).getUint32(8, true) & RTM_F_CLONED) !== 0;
  const known = family === AF_INET || family === AF_INET6;
  if (!known || !inMain || cloned || type !== RTN_UNICAST) return [];
  const any = ipFromBytes(new Uint8Array(family === AF_INET ? 4 : 16));
  const target = attributes.get(RTA.destination);
  const destination = toCidr(target === undefined ? any : ipFromBytes(target), prefix ?? 0);
  const metric = readU32(attributes.get(RTA.metric));
  const hops = hopsOf(attributes);
  return hops.map((hop) => ({ destination, ...hop, ...(metric !== undefined && { metric }) }));
}

function hopsOf(attributes: Attributes): readonly Pick<RouteInfo, "gateway" | "link">[] {
  const multipath = attributes.get(RTA.multipath);
  if (multipath === undefined) {
    const link = readU32(attributes.get(RTA.link));
    return link === undefined ? [] : [{ link, ...gatewayOf(attributes) }];
  }
  const hops: Pick<RouteInfo, "gateway" | "link">[] = [];
  const view = viewOf(multipath);
  for (let at = 0; at + RTNEXTHOP <= multipath.length; ) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP) break;
    const own = decodeAttributes(multipath.subarray(at + RTNEXTHOP, at + length));
    hops.push({ link: view.getInt32(at + 4, true), ...gatewayOf(own) });
    at += (length + 3) & ~3;
  }
  return hops;
}

function gatewayOf(attributes: Attributes): { readonly gateway?: Ip } {
  // RTA_VIA is a family, then the address: an IPv4 route over an IPv6 neighbour.
  const bytes = attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2);
  return bytes === undefined ? {} : { gateway: ipFromBytes(bytes) };
}
