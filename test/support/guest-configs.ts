/** What the services at the guest's door are told in tests: masquerade's default network. */
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { BRIDGE_MAC, type Mac } from "../../src/base/mac.ts";
import type { Dhcp4Config, Dhcp6Config, GuestService, RouterAdvertConfig } from "../../src/guest/config.ts";

export const BRIDGE = "k6t-eth0";
/** The MAC in captures.hex. */
export const GUEST_MAC = "52:54:00:12:34:56" as Mac;
/** As KubeVirt's: 999 days. */
export const LEASE_SECONDS = 86_313_600;

export function dhcp4Config(more: Partial<Dhcp4Config> = {}): Dhcp4Config {
  return {
    serverMac: BRIDGE_MAC,
    serverIp: "10.0.2.1" as Ip,
    lease: "10.0.2.2/24" as Cidr,
    leaseSeconds: LEASE_SECONDS,
    router: "10.0.2.1" as Ip,
    nameservers: ["10.0.2.3" as Ip, "10.96.0.10" as Ip],
    searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    hostname: "web",
    mtu: 1450,
    routes: [],
    ntpServers: [],
    privateOptions: [],
    ...more,
  };
}

export function dhcp6Config(more: Partial<Dhcp6Config> = {}): Dhcp6Config {
  return {
    serverMac: BRIDGE_MAC,
    serverLinkLocal: "fe80::1" as Ip,
    leaseIp: "fd10:0:2::2" as Ip,
    leaseSeconds: LEASE_SECONDS,
    nameservers: ["fd10:0:2::3" as Ip],
    searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    ...more,
  };
}

export function routerAdvertConfig(more: Partial<RouterAdvertConfig> = {}): RouterAdvertConfig {
  return {
    routerMac: BRIDGE_MAC,
    routerLinkLocal: "fe80::1" as Ip,
    mtu: 1450,
    routerLifetimeSeconds: 9000,
    prefixes: [{ prefix: "fd10:0:2::/120" as Cidr, onLink: true, autonomous: false }],
    managed: true,
    otherConfig: true,
    nameservers: ["fd10:0:2::3" as Ip],
    searchDomains: ["default.svc.cluster.local", "cluster.local"],
    intervalSeconds: 600,
    ...more,
  };
}

export function allServices(link = BRIDGE): readonly GuestService[] {
  return [
    { type: "dhcp4", link, config: dhcp4Config() },
    { type: "router-advert", link, config: routerAdvertConfig() },
    { type: "dhcp6", link, config: dhcp6Config() },
  ];
}
