/**
 * What the responders at the guest's door are told. Part of the stored plan, so: JSON types only, addresses as
 * canonical text, MACs with colons.
 */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";

export interface Dhcp4Config {
  readonly serverMac: Mac;
  readonly serverIp: Ip;
  /** The one address that is leased, with its prefix length. */
  readonly lease: Cidr;
  /** Seconds; KubeVirt leases 86,313,600 (999 days). */
  readonly leaseSeconds: number;
  /** Answer only this MAC; absent: answer anyone. */
  readonly clientMac?: Mac;
  readonly router?: Ip;
  readonly nameservers: readonly Ip[];
  readonly searchDomains: readonly string[];
  readonly hostname: string;
  readonly mtu: number;
  readonly routes: readonly { readonly destination: Cidr; readonly gateway?: Ip }[];
  readonly ntpServers: readonly Ip[];
  readonly tftpServerName?: string;
  readonly bootFileName?: string;
  readonly privateOptions: readonly { readonly option: number; readonly value: string }[];
}

export interface Dhcp6Config {
  readonly serverMac: Mac;
  /** Source of the answers. */
  readonly serverLinkLocal: Ip;
  /** The one address that is leased. */
  readonly leaseIp: Ip;
  readonly leaseSeconds: number;
  readonly nameservers: readonly Ip[];
  readonly searchDomains: readonly string[];
}

export interface RouterAdvertConfig {
  /** Where the advertisements come from and, unless `withoutMac`, where they say the router is. */
  readonly routerMac: Mac;
  /** Guests ask the router itself: for another's router whose MAC is not known. */
  readonly withoutMac?: true;
  readonly routerLinkLocal: Ip;
  readonly mtu: number;
  /** Seconds; 0 says "not a default router" (RFC 4861, 4.2). */
  readonly routerLifetimeSeconds: number;
  readonly prefixes: readonly {
    readonly prefix: Cidr;
    readonly onLink: boolean;
    /** Guests without DHCPv6 make themselves an address (only a /64 does this: RFC 4862, 5.5.3). */
    readonly autonomous: boolean;
  }[];
  /** The M flag: addresses come by DHCPv6. */
  readonly managed: boolean;
  /** The O flag: other configuration comes by DHCPv6. */
  readonly otherConfig: boolean;
  readonly nameservers: readonly Ip[];
  readonly searchDomains: readonly string[];
  /** Unsolicited advertisements; seconds between them. */
  readonly intervalSeconds: number;
}

/** Stations of the network that are there and do not answer guests themselves. */
export interface NeighboursConfig {
  readonly neighbours: readonly {
    readonly ip: Ip;
    readonly mac: Mac;
    /** Said in IPv6 answers: a guest forgets a router that does not say so (RFC 4861, 7.2.5). */
    readonly isRouter: boolean;
  }[];
}

/** One responder, on one link of the pod's namespace. */
export type GuestService =
  | { readonly type: "dhcp4"; readonly link: string; readonly config: Dhcp4Config }
  | { readonly type: "dhcp6"; readonly link: string; readonly config: Dhcp6Config }
  | { readonly type: "router-advert"; readonly link: string; readonly config: RouterAdvertConfig }
  | { readonly type: "neighbours"; readonly link: string; readonly config: NeighboursConfig };
