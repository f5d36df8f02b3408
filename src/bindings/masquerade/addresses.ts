/**
 * The guest's private networks. Facts: KubeVirt `pkg/network/link/address.go`: gateway is network + 1, guest
 * network + 2, host bits ignored; a family is there if the pod NIC has a global address of it. podtap adds the
 * virtual resolver, network + 3, where the network has room.
 */
import {
  type Cidr,
  cidrContains,
  cidrIp,
  cidrNetwork,
  cidrPrefix,
  cidrsOverlap,
  type Family,
  familyOf,
  type Ip,
  ipPlus,
  isGlobalUnicast,
  parseCidr,
  toCidr,
} from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { NicContext, NicSpec } from "../../plan/binding.ts";
import { ownCidr } from "./admission.ts";

const DEFAULT_CIDR: Readonly<Record<Family, Cidr>> = {
  4: "10.0.2.0/24" as Cidr,
  6: "fd10:0:2::/120" as Cidr,
};
/** Longest prefix with room for gateway and guest. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

export interface GuestNetwork {
  readonly family: Family;
  /** Host bits cleared. */
  readonly cidr: Cidr;
  readonly prefix: number;
  readonly gateway: Ip;
  readonly guest: Ip;
  /** The pod's address of this family: what the world sees. */
  readonly podIp: Ip;
  /** The pod's resolvers of this family. */
  readonly podNameservers: readonly Ip[];
  /** network + 3, translated to the pod's resolvers; undefined where there is no room or nothing to ask. */
  readonly virtualDns: Ip | undefined;
  /** What the guest is told to ask. */
  readonly nameservers: readonly Ip[];
  /**
   * IPv6 only: the /64 in which a guest without DHCPv6 may make itself an address (SLAAC takes no other length:
   * RFC 4862, 5.5.3). Undefined where it would cover an address that is in use.
   */
  readonly slaac: Cidr | undefined;
}

/** Field and text of the private network the manifest asks for, per family. */
export function wantedCidr(nic: NicSpec, family: Family): { readonly text: string; readonly field: string } {
  const seeds = ownCidr(nic.interface);
  if (seeds !== undefined && seeds.includes(":") === (family === 6)) {
    return { text: seeds, field: `${nic.field}.masquerade.cidr` };
  }
  const key = family === 4 ? "vmNetworkCIDR" : "vmIPv6NetworkCIDR";
  return { text: nic.network.pod?.[key] ?? DEFAULT_CIDR[family], field: `${nic.networkField}.pod.${key}` };
}

/** undefined: the pod has no address of this family, so the guest gets none. */
export function guestNetwork(nic: NicContext, family: Family): GuestNetwork | Problem | undefined {
  const podIp = nic.podLink.addresses
    .map(cidrIp)
    .find((ip) => familyOf(ip) === family && isGlobalUnicast(ip));
  if (podIp === undefined) return undefined;
  const { text, field } = wantedCidr(nic, family);
  const parsed = parseCidr(text);
  if (parsed === undefined || familyOf(parsed) !== family) {
    return invalid(field, `${text} is not an IPv${family} network`, `write it as ${DEFAULT_CIDR[family]}`);
  }
  const prefix = cidrPrefix(parsed);
  if (prefix > LONGEST_PREFIX[family]) {
    const message = `VM CIDR subnet is too small, at least 2 host addresses are required: ${text}`;
    return invalid(field, message, `take /${LONGEST_PREFIX[family]} or larger`);
  }
  const network = cidrNetwork(parsed);
  const cidr = toCidr(network, prefix);
  const podNameservers = nic.resolver.nameservers.filter((ip) => familyOf(ip) === family);
  const taken = [podIp, ...podNameservers].find((ip) => cidrContains(cidr, ip));
  if (taken !== undefined) {
    const message = `the guest's private network ${cidr} contains ${taken}, which the pod needs to reach`;
    return invalid(field, message, "choose another private network for the guest");
  }
  const room = prefix < LONGEST_PREFIX[family];
  const virtualDns = room && podNameservers.length > 0 ? ipPlus(network, 3) : undefined;
  return {
    family,
    cidr,
    prefix,
    gateway: ipPlus(network, 1),
    guest: ipPlus(network, 2),
    podIp,
    podNameservers,
    virtualDns,
    nameservers: virtualDns === undefined ? podNameservers : [virtualDns],
    slaac: family === 6 ? slaacPrefix(nic, cidr, podNameservers) : undefined,
  };
}

function slaacPrefix(nic: NicContext, cidr: Cidr, nameservers: readonly Ip[]): Cidr | undefined {
  if (cidrPrefix(cidr) < 64) return undefined;
  const prefix = toCidr(cidrNetwork(toCidr(cidrIp(cidr), 64)), 64);
  const used = [
    ...nic.podLink.addresses.map((address) => toCidr(cidrIp(address), 128)),
    ...nameservers.map((ip) => toCidr(ip, 128)),
    ...nic.routes.map((route) => route.destination).filter((destination) => cidrPrefix(destination) > 0),
  ];
  return used.some((other) => familyOf(other) === 6 && cidrsOverlap(prefix, other)) ? undefined : prefix;
}

function invalid(field: string, message: string, hint: string): Problem {
  return { code: "PT-PLAN-1", severity: "error", reason: "FieldValueInvalid", field, message, hint };
}
