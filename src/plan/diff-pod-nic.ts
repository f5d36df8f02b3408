/**
 * The pod's own NIC, changed in place. It is found by its index: its name may be the park's by then. Everything here
 * has an inverse, for the NIC is CNI's and has to be given back as it was.
 */
import { type Cidr, cidrIp, eui64, familyOf, type Ip } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import { portChanges } from "./diff-links.ts";
import type { Observed, ObservedLink, ObservedRoute } from "./observed.ts";
import type { Plan, PodNicPlan } from "./plan.ts";
import type { LinkChanges, Step } from "./step.ts";

/** Addresses and routes off, name and MAC given up, before anything takes their place. */
export function stepAside(nic: PodNicPlan, observed: Observed): readonly Step[] {
  const there = findNic(nic, observed);
  const changes: LinkChanges = {
    ...(nic.mac !== undefined && there?.mac !== nic.mac && { mac: nic.mac }),
    ...(there !== undefined && there.name !== nic.name && { rename: nic.name }),
  };
  return [
    ...(nic.released && there !== undefined ? release(there, nic, observed) : []),
    ...(Object.keys(changes).length > 0
      ? [{ op: "link.set" as const, name: there?.name ?? nic.name, changes }]
      : []),
  ];
}

export function podNicSettings(nic: PodNicPlan, observed: Observed): readonly Step[] {
  const there = findNic(nic, observed);
  const changes: LinkChanges = { ...portChanges(nic, there), ...(there?.up !== true && { up: true }) };
  return Object.keys(changes).length > 0 ? [{ op: "link.set", name: nic.name, changes }] : [];
}

function release(there: ObservedLink, nic: PodNicPlan, observed: Observed): readonly Step[] {
  // Once it has stepped aside, the kernel may give it a link-local address of its own, which nobody hears of, and
  // listen to routers.
  const aside = there.name === nic.name && there.master === nic.master;
  return [
    ...observed.neighbours
      .filter(({ link, permanent }) => link === there.name && permanent)
      .map(({ link, ip }): Step => ({ op: "neighbour.delete", link, ip })),
    ...routesToRelease(there, observed)
      .filter(({ advertised }) => !(aside && advertised))
      .map((route): Step => ({ op: "route.delete", route })),
    ...inReverseOfAdding(there.addresses)
      .filter((address) => !(aside && isKernels(there, address)))
      .map(
        (address): Step => ({ op: "address.delete", link: there.name, address, ...peerOf(there, address) }),
      ),
  ];
}

/**
 * Those over the link, and those elsewhere that speak in its name. Put back last first: a gateway has to be
 * reachable before a route over it is accepted.
 */
function routesToRelease({ name, addresses }: ObservedLink, { routes }: Observed): readonly ObservedRoute[] {
  const own = addresses.map(cidrIp);
  const lost = routes.filter(
    (route) =>
      !route.fromAddress &&
      (route.link === name || (route.source !== undefined && own.includes(route.source))),
  );
  return [
    ...lost.filter(({ gateway }) => gateway !== undefined),
    ...lost.filter(({ gateway }) => gateway === undefined),
  ];
}

/** The kernel appends IPv4 addresses and puts IPv6 ones first; an IPv4 network's first one takes the rest along. */
function inReverseOfAdding(addresses: readonly Cidr[]): readonly Cidr[] {
  const v4 = addresses.filter((address) => familyOf(address) === 4);
  return [...v4.toReversed(), ...addresses.filter((address) => familyOf(address) === 6)];
}

function peerOf({ peers }: ObservedLink, address: Cidr): { readonly peer?: Ip } {
  const peer = peers?.[address];
  return peer === undefined ? {} : { peer };
}

function isKernels({ advertised }: ObservedLink, address: Cidr): boolean {
  return address.startsWith("fe80:") || (advertised?.includes(address) ?? false);
}

/**
 * Addresses that the kernel gave to NICs while they were aside, under another MAC; to be removed when all else is
 * undone.
 * @param pristine what CNI left
 */
export function strayLinkLocals(
  plan: Plan,
  pristine: Pick<Observed, "links">,
  links: Observed["links"],
): readonly Step[] {
  const released = plan.nics
    .flatMap((nic) => nic.links)
    .flatMap((link) => (link.type === "pod-nic" && link.released ? [link.index] : []));
  return links
    .filter(({ index }) => released.includes(index))
    .flatMap((link) => {
      const { index, name, mac, addresses } = link;
      const before = pristine.links.find((one) => one.index === index)?.addresses ?? [];
      const own = mac === undefined ? undefined : eui64("fe80::" as Ip, macToBytes(mac));
      return addresses
        .filter((address) => isKernels(link, address) && !before.includes(address) && cidrIp(address) !== own)
        .map((address): Step => ({ op: "address.delete", link: name, address }));
    });
}

function findNic(nic: PodNicPlan, observed: Observed): ObservedLink | undefined {
  return observed.links.find(({ index }) => index === nic.index);
}
