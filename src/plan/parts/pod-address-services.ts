/**
 * What is served to a guest that takes the pod's address: DHCPv4 with address, router, classless routes, MTU, DNS;
 * for IPv6 router advertisements and DHCPv6 (a /128, RFC 8415 knows no prefix length).
 *
 * They introduce the network's own router. A guest knows an IPv6 router by the source of its advertisement, so ours
 * carry that router's link-local address. Where the router did not answer for one, they carry the one that its MAC
 * suggests, and we answer for it with that MAC when the guest asks whether its router is still there (RFC 4861, 7.3).
 * A router whose MAC nobody knows is not advertised (lifetime 0).
 *
 * The guest makes itself no address (autonomous off): the filter at the tap knows the pod's only.
 */
import { eui64, familyOf, type Ip, parseIp } from "../../base/ip.ts";
import { type Mac, macToBytes } from "../../base/mac.ts";
import { hexHash } from "../../base/names.ts";
import type { GuestService } from "../../guest/config.ts";
import type { NicContext } from "../binding.ts";
import { pathMtu } from "./path-mtu.ts";
import type { PodAddresses, PodIpv4, PodIpv6 } from "./pod-addresses.ts";
import { searchDomainsFor } from "./search-domains.ts";

/** 999 days, as KubeVirt's (`pkg/network/dhcp/server/server.go`): the address never changes while the VM lives. */
const LEASE_SECONDS = 86_313_600;
const RA_INTERVAL_SECONDS = 600;
/** The most a router may promise (RFC 4861, 6.2.1); renewed long before. */
const ROUTER_LIFETIME_SECONDS = 9000;
/** `169.254.75.1<index>`, the index appended as text, is an address up to here. */
export const LAST_SERVER_INDEX = 99;

export interface GuestDoor {
  /**
   * Where the responders hear and speak. The tap, or whatever the guest opens: what is sent there reaches the guest
   * and nobody else, and what the guest sends is heard before any filter or redirect.
   */
  readonly link: string;
  /** The responders': nobody else's on the network, the guest's neither. */
  readonly serverMac: Mac;
  /** The only client that is answered. */
  readonly guestMac: Mac;
}

/** KubeVirt's "fake bridge IP": option 54. Nobody has to have it, the responders hear what is sent to it. */
export function dhcpServerIp(index: number): Ip {
  return `169.254.75.1${index}` as Ip;
}

/** A MAC of podtap's own at this NIC, one a role: the same after every restart, and not the guest's. */
export function wiringMac(nic: NicContext, role = "wiring"): Mac {
  const digits = hexHash(`${nic.vm.namespace}/${nic.vm.name}/${nic.interface.name}/${role}`).slice(0, 10);
  // 02: unicast, locally administered (IEEE 802, clause 8).
  return `02:${(digits.match(/../g) ?? []).join(":")}` as Mac;
}

export function podAddressServices(
  nic: NicContext,
  { ipv4, ipv6 }: PodAddresses,
  door: GuestDoor,
): readonly GuestService[] {
  return [
    ...(ipv4 ? [dhcp4(nic, ipv4, door)] : []),
    ...(ipv6 ? [routerAdvert(nic, ipv6, door), dhcp6(nic, ipv6, door)] : []),
    ...neighbours(nic, ipv6, door),
  ];
}

/** What these services cannot tell the guest, for the plan's notes. */
export function podAddressNotes(nic: NicContext, { ipv4, ipv6 }: PodAddresses): readonly string[] {
  const pod = nic.names.podInterface;
  return [
    ...(ipv4 || ipv6 ? [] : [`${pod} has no address: the guest gets one from the network itself, or none`]),
    ...(ipv4 || !ipv6 ? [] : [`no IPv4: ${pod} has none`]),
    ...(ipv6 || !ipv4 ? [] : [`no IPv6: ${pod} has none`]),
    ...(ipv6?.gateway && !ipv6.router
      ? [
          `no IPv6 default route for the guest: its router ${ipv6.gateway} did not answer; set the route in the guest`,
        ]
      : []),
    ...(ipv6 && ipv6.untold.length > 0
      ? [`IPv6 routes that the guest is not told of: ${ipv6.untold.join(", ")}`]
      : []),
  ];
}

/** Addresses that the guest may never claim by neighbour advertisement: `GuestIdentity.routerIpv6`. */
export function routerIpv6({ ipv6 }: PodAddresses): readonly Ip[] {
  const all = [ipv6?.router?.linkLocal, ipv6?.gateway].filter((ip) => ip !== undefined);
  return [...new Set(all)];
}

function dhcp4(nic: NicContext, { lease, router, routes }: PodIpv4, door: GuestDoor): GuestService {
  const options = nic.interface.dhcpOptions;
  return {
    type: "dhcp4",
    link: door.link,
    config: {
      serverMac: door.serverMac,
      serverIp: dhcpServerIp(nic.index),
      lease,
      leaseSeconds: LEASE_SECONDS,
      clientMac: door.guestMac,
      ...(router && { router }),
      nameservers: nic.resolver.nameservers.filter((ip) => familyOf(ip) === 4),
      searchDomains: searchDomains(nic),
      hostname: nic.vm.hostname,
      mtu: pathMtu(nic),
      routes,
      ntpServers: (options?.ntpServers ?? []).flatMap((text) => parseIp(text) ?? []),
      ...(options?.tftpServerName && { tftpServerName: options.tftpServerName }),
      ...(options?.bootFileName && { bootFileName: options.bootFileName }),
      privateOptions: options?.privateOptions ?? [],
    },
  };
}

function routerAdvert(nic: NicContext, { onLink, router }: PodIpv6, door: GuestDoor): GuestService {
  return {
    type: "router-advert",
    link: door.link,
    config: {
      routerMac: router?.mac ?? door.serverMac,
      // Else the guest would send what is for the router to us.
      ...(router?.mac === undefined && { withoutMac: true as const }),
      routerLinkLocal: router?.linkLocal ?? serverLinkLocal(door),
      mtu: pathMtu(nic),
      routerLifetimeSeconds: router === undefined ? 0 : ROUTER_LIFETIME_SECONDS,
      prefixes: onLink.map((prefix) => ({ prefix, onLink: true, autonomous: false })),
      managed: true,
      otherConfig: true,
      nameservers: ipv6Nameservers(nic),
      searchDomains: searchDomains(nic),
      intervalSeconds: RA_INTERVAL_SECONDS,
    },
  };
}

function dhcp6(nic: NicContext, { ip }: PodIpv6, door: GuestDoor): GuestService {
  return {
    type: "dhcp6",
    link: door.link,
    config: {
      serverMac: door.serverMac,
      serverLinkLocal: serverLinkLocal(door),
      leaseIp: ip,
      leaseSeconds: LEASE_SECONDS,
      nameservers: ipv6Nameservers(nic),
      searchDomains: searchDomains(nic),
    },
  };
}

/** What CNI wrote into the pod's neighbour table because the network does not answer, and a silent router. */
function neighbours(
  nic: NicContext,
  ipv6: PodIpv6 | undefined,
  { link }: GuestDoor,
): readonly GuestService[] {
  const { router, gateway } = ipv6 ?? {};
  const written = nic.observed.neighbours
    .filter((entry) => entry.permanent && entry.link === nic.names.podInterface)
    .map(({ ip, mac }) => ({ ip, mac, isRouter: ip === gateway || ip === router?.linkLocal }));
  const silent =
    router?.silent && router.mac !== undefined
      ? [{ ip: router.linkLocal, mac: router.mac, isRouter: true }]
      : [];
  const all = [...written, ...silent];
  return all.length === 0 ? [] : [{ type: "neighbours", link, config: { neighbours: all } }];
}

/** Clients send to the group of all servers, so nobody asks where this address is. */
function serverLinkLocal({ serverMac }: GuestDoor): Ip {
  return eui64("fe80::" as Ip, macToBytes(serverMac));
}

function ipv6Nameservers(nic: NicContext): readonly Ip[] {
  return nic.resolver.nameservers.filter((ip) => familyOf(ip) === 6);
}

function searchDomains(nic: NicContext): readonly string[] {
  return searchDomainsFor(nic.resolver.searchDomains, nic.vm.subdomain);
}
