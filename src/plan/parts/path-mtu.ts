/**
 * How large a frame the guest may send, and where on its way that is too much all the same.
 *
 * Some networks (Cilium's tunnels) leave the link's MTU at its full size and put the smaller one on the default route
 * only; a guest that has the address but not the route would send what does not fit
 * (kata-containers/kata-containers#11149). So the guest is told the smaller of the two, by whatever it listens to: the
 * virtio device, DHCP option 26, router advertisements. What else is narrower nobody can tell it; that is for people.
 */
import { cidrIp, cidrPrefix, familyOf, isGlobalUnicast } from "../../base/ip.ts";
import type { BindingTraits, NicContext } from "../binding.ts";

/** Below it Linux takes IPv6 off a link (RFC 8200, 5). */
const IPV6_LEAST = 1280;
const ETHERNET = 1500;

/** What the guest is told. */
export function pathMtu({ podLink, routes }: Pick<NicContext, "podLink" | "routes">): number {
  const defaults = routes.filter(({ destination }) => cidrPrefix(destination) === 0);
  return Math.min(podLink.mtu, ...defaults.map(({ mtu }) => mtu ?? podLink.mtu));
}

/** Which hop is narrower than the guest knows, and what to set; for the plan's notes. */
export function mtuNotes(nic: NicContext, { path }: Pick<BindingTraits, "path">): readonly string[] {
  const told = pathMtu(nic);
  // The pod's own stack is the router then: it knows its routes, and answers what is too large.
  const routedByPod = path === "translated" || path === "user-space";
  return [
    ...narrowLink(nic, told),
    ...(routedByPod ? [] : narrowRoutes(nic, told)),
    ...tooNarrowForIpv6(nic, told),
    ...untoldByDevice(nic, told),
  ];
}

function narrowLink({ network, narrowest }: NicContext, told: number): readonly string[] {
  if (narrowest === undefined || narrowest.mtu >= told) return [];
  const { link, mtu } = narrowest;
  return [
    `MTU: ${link}, on the way of network ${network.name}, carries ${mtu} bytes and the guest is told ${told}: what is larger is lost there; set "mtu": ${mtu} in the network's configuration, or raise ${link}'s`,
  ];
}

function narrowRoutes({ network, routes }: NicContext, told: number): readonly string[] {
  return routes.flatMap(({ destination, mtu = told }) =>
    mtu >= told || cidrPrefix(destination) === 0
      ? []
      : [
          `MTU: the route to ${destination} carries ${mtu} bytes and the guest is told ${told}: DHCP has no MTU for a route; give it to the route in the guest, or set "mtu": ${mtu} for all of network ${network.name}`,
        ],
  );
}

function tooNarrowForIpv6({ podLink, names }: NicContext, told: number): readonly string[] {
  const hasIpv6 = podLink.addresses.some((one) => familyOf(one) === 6 && isGlobalUnicast(cidrIp(one)));
  if (told >= IPV6_LEAST || !hasIpv6) return [];
  return [
    `MTU: the guest is told ${told}, and IPv6 needs ${IPV6_LEAST}: Linux has no IPv6 on such a link; raise the default route's of ${names.podInterface}`,
  ];
}

/** Only virtio has a field for it (virtio 1.1, 5.1.4: `mtu`). */
function untoldByDevice({ interface: { model } }: NicContext, told: number): readonly string[] {
  if (model === undefined || model === "" || model === "virtio" || told === ETHERNET) return [];
  return [
    `MTU: ${model} cannot tell its driver of ${told}: a guest that heeds neither DHCP nor router advertisements keeps ${ETHERNET}; model virtio tells it`,
  ];
}
