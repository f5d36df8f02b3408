/**
 * What the network gave the pod, for a guest that takes the pod's place: one address a family, how far its link
 * reaches, routes and router. Read from the pod NIC as CNI left it, so it fits whatever the CNI plugin is: a shared
 * segment, Calico's /32 with 169.254.1.1, a point-to-point link, or no IPAM at all.
 *
 * KubeVirt (`pkg/network/dhcp/bridge.go`, `discoverbridge.go`): the first global address; the router is the first
 * route's next hop; all routes but the address's own subnet. Three things are mended here: the router is the default
 * route's, a gateway outside the subnet gets a route of its own, and a subnet that is reached by a gateway (CNI's
 * ptp) is not taken for a shared segment.
 */
import {
  type Cidr,
  cidrContains,
  cidrIp,
  cidrNetwork,
  cidrPrefix,
  eui64,
  type Family,
  familyOf,
  type Ip,
  isGlobalUnicast,
  toCidr,
} from "../../base/ip.ts";
import { type Mac, macToBytes } from "../../base/mac.ts";
import type { NicContext } from "../binding.ts";
import type { ObservedRoute } from "../observed.ts";

const LINK_LOCAL = "fe80::/10" as Cidr;

export interface PodAddresses {
  readonly ipv4?: PodIpv4;
  readonly ipv6?: PodIpv6;
}

export interface PodIpv4 {
  readonly ip: Ip;
  /** The address with the prefix that is on the link: 32 where everything goes by a gateway. */
  readonly lease: Cidr;
  /** Only where this NIC gives the guest its default route. */
  readonly router?: Ip;
  /** Without gateway: on the link. */
  readonly routes: readonly { readonly destination: Cidr; readonly gateway?: Ip }[];
}

export interface PodIpv6 {
  readonly ip: Ip;
  /** Prefixes whose addresses are on the link; none: everything goes to the router. */
  readonly onLink: readonly Cidr[];
  /** Of the default route, as CNI wrote it; absent as in IPv4. */
  readonly gateway?: Ip;
  /** By a link-local address, by which alone guests can be told of a router (RFC 4861, 4.2). */
  readonly router?: PodRouter;
  /** Destinations of routes that a router advertisement does not carry. */
  readonly untold: readonly Cidr[];
}

export interface PodRouter {
  readonly linkLocal: Ip;
  readonly mac?: Mac;
  /**
   * Nobody heard the router answer for that address. It is the one that its MAC suggests: a router that has just
   * come up owns it in a second, and for one that has another somebody must answer in its place.
   */
  readonly silent?: true;
}

/** Neither family: the network has no IPAM, and how the guest gets an address is the network's own business. */
export function podAddresses(nic: NicContext): PodAddresses {
  const ipv4 = podIpv4(nic);
  const ipv6 = podIpv6(nic);
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

/** The pod's addresses that become the guest's. */
export function handedOver({ ipv4, ipv6 }: PodAddresses): readonly Ip[] {
  return [...(ipv4 ? [ipv4.ip] : []), ...(ipv6 ? [ipv6.ip] : [])];
}

function podIpv4(nic: NicContext): PodIpv4 | undefined {
  const address = globalAddress(nic, 4);
  if (address === undefined) return undefined;
  const ip = cidrIp(address);
  const subnet = subnetOf(address);
  const { all, best } = routesOf(nic, 4);
  const lease = isRouted(subnet, all) ? toCidr(ip, 32) : address;
  const wanted = [...all.filter((route) => !isDefault(route)), ...(best && nic.defaultRoute ? [best] : [])];
  const router = nic.defaultRoute ? (best ?? all[0])?.gateway : undefined;
  const told = wanted
    .filter(({ destination, gateway }) => destination !== subnet || gateway !== undefined)
    .map(({ destination, gateway }) => ({ destination, ...(gateway && { gateway }) }));
  return {
    ip,
    lease,
    ...(router && { router }),
    routes: [...routesToGateways(lease, told, router), ...told],
  };
}

/** A gateway that neither the subnet nor a route covers is on the link all the same: RTNH_F_ONLINK, or a /32. */
function routesToGateways(lease: Cidr, routes: PodIpv4["routes"], router: Ip | undefined): PodIpv4["routes"] {
  const gateways = new Set([...routes.map(({ gateway }) => gateway), router]);
  const onLink = [lease, ...routes.filter(({ gateway }) => !gateway).map(({ destination }) => destination)];
  return [...gateways]
    .filter((gateway): gateway is Ip => gateway !== undefined)
    .filter((gateway) => !onLink.some((subnet) => cidrPrefix(subnet) > 0 && cidrContains(subnet, gateway)))
    .map((gateway) => ({ destination: toCidr(gateway, 32) }));
}

function podIpv6(nic: NicContext): PodIpv6 | undefined {
  const address = globalAddress(nic, 6);
  if (address === undefined) return undefined;
  const subnet = subnetOf(address);
  const { all, best } = routesOf(nic, 6);
  const others = all.filter(
    (route) => !isDefault(route) && !cidrContains(LINK_LOCAL, cidrIp(route.destination)),
  );
  const onLink = others.filter(({ gateway }) => gateway === undefined).map(({ destination }) => destination);
  const connected = cidrPrefix(subnet) < 128 && !isRouted(subnet, all) ? [subnet] : [];
  const gateway = nic.defaultRoute ? best?.gateway : undefined;
  const router = gateway === undefined ? undefined : routerOf(nic, gateway);
  return {
    ip: cidrIp(address),
    onLink: [...new Set([...connected, ...onLink])],
    ...(gateway && { gateway }),
    ...(router && { router }),
    untold: others.filter((route) => route.gateway !== undefined).map(({ destination }) => destination),
  };
}

function routerOf(nic: NicContext, gateway: Ip): PodRouter | undefined {
  const near = nic.observed.neighbours.filter(({ link }) => link === nic.names.podInterface);
  const mac = near.find(({ ip }) => ip === gateway)?.mac;
  if (cidrContains(LINK_LOCAL, gateway)) return { linkLocal: gateway, ...(mac && { mac }) };
  if (mac === undefined) return undefined;
  const linkLocal = near.find((other) => other.mac === mac && cidrContains(LINK_LOCAL, other.ip))?.ip;
  return linkLocal === undefined
    ? { linkLocal: eui64("fe80::" as Ip, macToBytes(mac)), mac, silent: true }
    : { linkLocal, mac };
}

function globalAddress(nic: NicContext, family: Family): Cidr | undefined {
  return nic.podLink.addresses.find(
    (address) => familyOf(address) === family && isGlobalUnicast(cidrIp(address)),
  );
}

/**
 * Without those that an address brings along or a router tells, and the default route that the pod used: the lowest
 * metric's. Where CNI left none a router's counts: its advertisements do not reach a guest that we address.
 */
function routesOf(
  nic: NicContext,
  family: Family,
): { readonly all: readonly ObservedRoute[]; readonly best: ObservedRoute | undefined } {
  const own = nic.routes.filter((route) => familyOf(route.destination) === family && !route.fromAddress);
  const all = own.filter((route) => !route.advertised);
  const defaults = [all, own].map((some) => some.filter(isDefault)).find((some) => some.length > 0);
  const best = (defaults ?? []).reduce<ObservedRoute | undefined>(
    (least, route) => (least === undefined || (route.metric ?? 0) < (least.metric ?? 0) ? route : least),
    undefined,
  );
  return { all, best };
}

/** CNI's ptp puts the subnet behind the gateway: its other addresses are not on this link. */
function isRouted(subnet: Cidr, routes: readonly ObservedRoute[]): boolean {
  return routes.some(({ destination, gateway }) => destination === subnet && gateway !== undefined);
}

function isDefault({ destination }: ObservedRoute): boolean {
  return cidrPrefix(destination) === 0;
}

function subnetOf(address: Cidr): Cidr {
  return toCidr(cidrNetwork(address), cidrPrefix(address));
}
