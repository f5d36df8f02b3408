/** How the kernel keeps a link's addresses, and the routes that it makes of them. Pure. */
import { type Cidr, cidrContains, cidrIp, cidrNetwork, cidrPrefix, familyOf, toCidr } from "../../base/ip.ts";
import type { ObservedLink, ObservedRoute } from "../../plan/observed.ts";

type Addresses = ObservedLink["addresses"];

/** IPv4 appended; IPv6 behind them, global ones first, of a scope the newest first (ipv6_link_dev_addr). */
export function withAddress(addresses: Addresses, address: Cidr): Addresses {
  const v4 = addresses.filter((one) => familyOf(one) === 4);
  const v6 = addresses.filter((one) => familyOf(one) === 6);
  if (familyOf(address) === 4) return [...v4, address, ...v6];
  const at = isLinkLocal(address) ? v6.findIndex(isLinkLocal) : 0;
  return [...v4, ...v6.toSpliced(at < 0 ? v6.length : at, 0, address)];
}

/** An IPv4 network's first address takes the others of it along (promote_secondaries is 0). */
export function withoutAddress(addresses: Addresses, address: Cidr): Addresses {
  const ofNetwork = addresses.filter((one) => familyOf(one) === 4 && sameNetwork(one, address));
  const gone = ofNetwork[0] === address ? ofNetwork : [address];
  return addresses.filter((one) => !gone.includes(one));
}

export function prefixRoutes({ name, addresses, peers }: ObservedLink): readonly ObservedRoute[] {
  const routes = addresses.flatMap((address): ObservedRoute[] => {
    const prefix = cidrPrefix(address);
    const peer = peers?.[address];
    const destination = toCidr(cidrNetwork(peer === undefined ? address : toCidr(peer, prefix)), prefix);
    const common = { destination, link: name, fromAddress: true } as const;
    if (familyOf(address) === 6) return [{ ...common, metric: 256 }];
    return prefix === 32 && peer === undefined ? [] : [{ ...common, source: cidrIp(address) }];
  });
  return routes.filter(
    (route, at) => routes.findIndex(({ destination }) => destination === route.destination) === at,
  );
}

export function isLinkLocal(address: Cidr): boolean {
  return address.startsWith("fe80:");
}

function sameNetwork(a: Cidr, b: Cidr): boolean {
  return cidrPrefix(a) === cidrPrefix(b) && cidrContains(a, cidrIp(b));
}
