/** RTM_*ROUTE messages of the main table (include/uapi/linux/rtnetlink.h), unicast routes only. */
import {
  type Cidr,
  cidrIp,
  cidrPrefix,
  familyOf,
  type Ip,
  ipFromBytes,
  ipToBytes,
  toCidr,
} from "../base/ip.ts";
import {
  type Attributes,
  attribute,
  concat,
  decodeAttributes,
  nested,
  readU32,
  u32Attribute,
  viewOf,
} from "./netlink.ts";

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG = 12;
const RTNEXTHOP = 8;
const RTA = {
  destination: 1,
  link: 4,
  gateway: 5,
  metric: 6,
  source: 7,
  metrics: 8,
  multipath: 9,
  cacheInfo: 12,
  table: 15,
  via: 18,
} as const;
const RTAX_MTU = 2;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
/** Of a route to be deleted: whatever it has. */
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const RTPROT_KERNEL = 2;
/** What `ip route add` and CNI plugins leave. */
const RTPROT_BOOT = 3;
const RTPROT_RA = 9;
/** Offset of rta_expires in struct rta_cacheinfo. */
const EXPIRES = 8;
/** A cached route of one peer, not configuration. */
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 4;
const AF_INET = 2;
const AF_INET6 = 10;

export interface RouteHop {
  readonly gateway?: Ip;
  /** ifindex. */
  readonly link: number;
  readonly onLink?: true;
}

export interface WeightedHop extends RouteHop {
  readonly weight: number;
}

export interface RouteInfo extends RouteHop {
  readonly destination: Cidr;
  readonly metric?: number;
  readonly source?: Ip;
  readonly mtu?: number;
  readonly fromAddress?: true;
  /** By a router: it says so itself, or it runs out. Prefixes that routers tell are the kernel's own otherwise. */
  readonly advertised?: true;
  /** All hops of the multipath route that this is one of. */
  readonly hops?: readonly WeightedHop[];
}

/** Payload of a dump of all routes of both families. */
export function encodeRouteQuestion(): Uint8Array {
  return new Uint8Array(RTMSG);
}

/** Payload that makes a route; with several hops a multipath one, over these instead of its own. */
export function encodeRoute(route: Omit<RouteInfo, "hops">, hops: readonly WeightedHop[] = []): Uint8Array {
  const { destination, metric, source, mtu } = route;
  // A gateway is only looked for among routes of link scope.
  const scope =
    route.gateway === undefined && familyOf(destination) === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const family = familyOf(destination);
  return concat(
    rtmsg(destination, RTPROT_BOOT, scope, hops.length > 1 ? undefined : route),
    ...(metric === undefined ? [] : [u32Attribute(RTA.metric, metric)]),
    ...(source === undefined ? [] : [attribute(RTA.source, ipToBytes(source))]),
    ...(mtu === undefined ? [] : [nested(RTA.metrics, u32Attribute(RTAX_MTU, mtu))]),
    ...(hops.length > 1
      ? [attribute(RTA.multipath, concat(...hops.map((hop) => encodeHop(hop, family))))]
      : [u32Attribute(RTA.link, route.link), ...encodeGateway(route, family)]),
  );
}

/** Payload that deletes a route, or the multipath route that the hop is the first one of. */
export function encodeRouteDeletion(route: Omit<RouteInfo, "hops">): Uint8Array {
  const { destination, metric, link } = route;
  return concat(
    rtmsg(destination, 0, RT_SCOPE_NOWHERE, undefined),
    ...(metric === undefined ? [] : [u32Attribute(RTA.metric, metric)]),
    u32Attribute(RTA.link, link),
    ...encodeGateway(route, familyOf(destination)),
  );
}

/** One entry a hop; nothing for routes of other tables, local, broadcast and unreachable ones. */
export function decodeRoute(payload: Uint8Array): readonly RouteInfo[] {
  const [family, prefix, , , table, protocol, , type] = payload;
  const attributes = decodeAttributes(payload.subarray(RTMSG));
  const inMain = (readU32(attributes.get(RTA.table)) ?? table) === RT_TABLE_MAIN;
  const flags = viewOf(payload).getUint32(8, true);
  const known = family === AF_INET || family === AF_INET6;
  if (!known || !inMain || (flags & RTM_F_CLONED) !== 0 || type !== RTN_UNICAST) return [];
  const any = ipFromBytes(new Uint8Array(family === AF_INET ? 4 : 16));
  const target = attributes.get(RTA.destination);
  const metric = readU32(attributes.get(RTA.metric));
  const source = attributes.get(RTA.source);
  const mtu = readU32(decodeAttributes(attributes.get(RTA.metrics) ?? new Uint8Array()).get(RTAX_MTU));
  const common = {
    destination: toCidr(target === undefined ? any : ipFromBytes(target), prefix ?? 0),
    ...(metric !== undefined && { metric }),
    ...(source !== undefined && { source: ipFromBytes(source) }),
    ...(mtu !== undefined && { mtu }),
    ...(protocol === RTPROT_KERNEL && { fromAddress: true as const }),
    ...((protocol === RTPROT_RA || expires(attributes)) && { advertised: true as const }),
  };
  const multipath = attributes.get(RTA.multipath);
  if (multipath !== undefined) {
    const hops = decodeHops(multipath);
    return hops.map(({ weight: _, ...hop }) => ({ ...common, ...hop, hops }));
  }
  const link = readU32(attributes.get(RTA.link));
  return link === undefined ? [] : [{ ...common, link, ...gatewayOf(attributes), ...onLink(flags) }];
}

function expires(attributes: Attributes): boolean {
  const info = attributes.get(RTA.cacheInfo);
  return info !== undefined && info.length >= EXPIRES + 4 && viewOf(info).getInt32(EXPIRES, true) !== 0;
}

function decodeHops(multipath: Uint8Array): readonly WeightedHop[] {
  const hops: WeightedHop[] = [];
  const view = viewOf(multipath);
  for (let at = 0; at + RTNEXTHOP <= multipath.length; ) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP) break;
    const own = decodeAttributes(multipath.subarray(at + RTNEXTHOP, at + length));
    hops.push({
      link: view.getInt32(at + 4, true),
      ...gatewayOf(own),
      ...onLink(view.getUint8(at + 2)),
      weight: view.getUint8(at + 3) + 1,
    });
    at += (length + 3) & ~3;
  }
  return hops;
}

function encodeHop(hop: WeightedHop, family: 4 | 6): Uint8Array {
  const bytes = concat(new Uint8Array(RTNEXTHOP), ...encodeGateway(hop, family));
  const view = viewOf(bytes);
  view.setUint16(0, bytes.length, true);
  view.setUint8(2, hop.onLink === true ? RTNH_F_ONLINK : 0);
  view.setUint8(3, hop.weight - 1);
  view.setInt32(4, hop.link, true);
  return bytes;
}

function gatewayOf(attributes: Attributes): { readonly gateway?: Ip } {
  // RTA_VIA is a family, then the address: an IPv4 route over an IPv6 neighbour.
  const bytes = attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2);
  return bytes === undefined ? {} : { gateway: ipFromBytes(bytes) };
}

function encodeGateway({ gateway }: RouteHop, family: 4 | 6): readonly Uint8Array[] {
  if (gateway === undefined) return [];
  const bytes = ipToBytes(gateway);
  if (familyOf(gateway) === family) return [attribute(RTA.gateway, bytes)];
  return [attribute(RTA.via, concat(Uint8Array.of(familyOf(gateway) === 6 ? AF_INET6 : AF_INET, 0), bytes))];
}

function onLink(flags: number): { readonly onLink?: true } {
  return (flags & RTNH_F_ONLINK) === 0 ? {} : { onLink: true };
}

function rtmsg(destination: Cidr, protocol: number, scope: number, hop: RouteHop | undefined): Uint8Array {
  const bytes = new Uint8Array(RTMSG);
  bytes[0] = familyOf(destination) === 6 ? AF_INET6 : AF_INET;
  bytes[1] = cidrPrefix(destination);
  bytes[4] = RT_TABLE_MAIN;
  bytes[5] = protocol;
  bytes[6] = scope;
  bytes[7] = RTN_UNICAST;
  viewOf(bytes).setUint32(8, hop?.onLink === true ? RTNH_F_ONLINK : 0, true);
  return concat(
    bytes,
    ...(cidrPrefix(destination) > 0 ? [attribute(RTA.destination, ipToBytes(cidrIp(destination)))] : []),
  );
}
