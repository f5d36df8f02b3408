/** What is served at the guest's door: DHCPv4, and for IPv6 router advertisements with DHCPv6. */

import { type Ip, parseIp, toCidr } from "../../base/ip.ts";
import { BRIDGE_MAC } from "../../base/mac.ts";
import type { GuestService } from "../../guest/config.ts";
import type { NicContext } from "../../plan/binding.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import { searchDomainsFor } from "../../plan/parts/search-domains.ts";
import type { GuestNetwork } from "./addresses.ts";

/** 999 days, as KubeVirt's (`pkg/network/dhcp/server/server.go`): the address never changes while the VM lives. */
const LEASE_SECONDS = 86_313_600;
/** The pod's own address towards the guest; the same in every pod, so that a migrated guest keeps its router. */
export const ROUTER_LINK_LOCAL = "fe80::1" as Ip;

export function guestServices(
  nic: NicContext,
  ipv4: GuestNetwork | undefined,
  ipv6: GuestNetwork | undefined,
): readonly GuestService[] {
  return [...(ipv4 ? [dhcp4(nic, ipv4)] : []), ...(ipv6 ? [routerAdvert(nic, ipv6), dhcp6(nic, ipv6)] : [])];
}

function dhcp4(nic: NicContext, network: GuestNetwork): GuestService {
  const options = nic.interface.dhcpOptions;
  return {
    type: "dhcp4",
    link: nic.names.bridge,
    config: {
      serverMac: BRIDGE_MAC,
      serverIp: network.gateway,
      lease: toCidr(network.guest, network.prefix),
      leaseSeconds: LEASE_SECONDS,
      router: network.gateway,
      nameservers: network.nameservers,
      searchDomains: searchDomainsFor(nic.resolver.searchDomains, nic.vm.subdomain),
      hostname: nic.vm.hostname,
      mtu: pathMtu(nic),
      routes: [],
      ntpServers: (options?.ntpServers ?? []).flatMap((text) => parseIp(text) ?? []),
      ...(options?.tftpServerName && { tftpServerName: options.tftpServerName }),
      ...(options?.bootFileName && { bootFileName: options.bootFileName }),
      privateOptions: options?.privateOptions ?? [],
    },
  };
}

function routerAdvert(nic: NicContext, network: GuestNetwork): GuestService {
  return {
    type: "router-advert",
    link: nic.names.bridge,
    config: {
      routerMac: BRIDGE_MAC,
      routerLinkLocal: ROUTER_LINK_LOCAL,
      mtu: pathMtu(nic),
      // The most a router may promise (RFC 4861, 6.2.1); renewed long before.
      routerLifetimeSeconds: 9000,
      prefixes: [
        { prefix: network.cidr, onLink: true, autonomous: network.slaac === network.cidr },
        ...(network.slaac !== undefined && network.slaac !== network.cidr
          ? [{ prefix: network.slaac, onLink: false, autonomous: true }]
          : []),
      ],
      managed: true,
      otherConfig: true,
      nameservers: network.nameservers,
      searchDomains: searchDomainsFor(nic.resolver.searchDomains, nic.vm.subdomain),
      intervalSeconds: 600,
    },
  };
}

function dhcp6(nic: NicContext, network: GuestNetwork): GuestService {
  return {
    type: "dhcp6",
    link: nic.names.bridge,
    config: {
      serverMac: BRIDGE_MAC,
      serverLinkLocal: ROUTER_LINK_LOCAL,
      leaseIp: network.guest,
      leaseSeconds: LEASE_SECONDS,
      nameservers: network.nameservers,
      searchDomains: searchDomainsFor(nic.resolver.searchDomains, nic.vm.subdomain),
    },
  };
}
