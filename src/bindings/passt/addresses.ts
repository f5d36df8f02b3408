/** The pod's addresses that the guest gets too, one a family, with the router that it is told of. */
import {
  type Cidr,
  cidrIp,
  cidrNetwork,
  cidrPrefix,
  type Family,
  familyOf,
  type Ip,
  ipPlus,
  isGlobalUnicast,
} from "../../base/ip.ts";
import type { NicContext } from "../../plan/binding.ts";

export interface PasstAddress {
  readonly address: Cidr;
  readonly gateway: Ip;
  /** The pod has a default route of this family over this NIC. */
  readonly routed: boolean;
}

export function passtAddresses(nic: NicContext): {
  readonly ipv4?: PasstAddress;
  readonly ipv6?: PasstAddress;
} {
  const ipv4 = ofFamily(nic, 4);
  const ipv6 = ofFamily(nic, 6);
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

function ofFamily(nic: NicContext, family: Family): PasstAddress | undefined {
  const address = nic.podLink.addresses.find(
    (one) => familyOf(one) === family && isGlobalUnicast(cidrIp(one)),
  );
  if (address === undefined) return undefined;
  const defaults = nic.routes
    .filter(({ destination }) => familyOf(destination) === family && cidrPrefix(destination) === 0)
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
  const gateway = defaults.find((route) => route.gateway !== undefined)?.gateway;
  return { address, gateway: gateway ?? standIn(address), routed: defaults.length > 0 };
}

/**
 * passt must be given a router, and answers for it whoever it is: all that the guest sends goes to passt. Where the
 * pod has none, or its default route is the link itself, another address of the subnet does.
 */
function standIn(address: Cidr): Ip {
  const first = ipPlus(cidrNetwork(address), 1);
  return first === cidrIp(address) ? ipPlus(first, 1) : first;
}
