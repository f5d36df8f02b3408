/**
 * The pod's namespace as CNI left it: what every plan of the pod is made from, however far its wiring has gone. A
 * binding may rename the NIC and take its addresses; asked again it must see what it saw first.
 *
 * Kept beside the plan, written before the first change. A NIC that CNI made later is added; one that was made anew
 * (its index is gone) replaces what was known of it. What routers advertised to the pod is in it, told apart.
 */
import { readFileSync } from "node:fs";
import { cidrPrefix, familyOf, type Ip } from "../base/ip.ts";
import { LINK_MARK } from "../base/names.ts";
import type { Observed, ObservedLink, ObservedNeighbour } from "../plan/observed.ts";
import type { Kernel } from "./ports.ts";

type Now = Pick<Observed, "links" | "routes" | "sysctls">;

/** undefined before the first run. */
export function readPristine(path: string): Observed | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Observed;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

/**
 * @param names of the pod's NICs, as CNI was asked for them
 * @param handedOver names of the NICs whose gateways' MACs a plan depends on
 */
export function pristineOf(
  kernel: Kernel,
  stored: Observed | undefined,
  now: Now,
  names: readonly string[],
  handedOver: readonly string[],
): Observed {
  const isThere = ({ index }: ObservedLink): boolean => now.links.some((link) => link.index === index);
  const known = (stored?.links ?? []).filter(isThere);
  const added = now.links.filter(
    (link) =>
      link.alias !== LINK_MARK &&
      !known.some(({ index, name }) => index === link.index || name === link.name),
  );
  const isOf =
    (links: readonly ObservedLink[]) =>
    ({ link }: { readonly link: string }): boolean =>
      links.some(({ name }) => name === link);
  const routes = [...(stored?.routes ?? []).filter(isOf(known)), ...now.routes.filter(isOf(added))];
  const fresh = added.filter(({ name }) => names.includes(name) && handedOver.includes(name));
  return {
    links: [...known, ...added],
    routes,
    sysctls: { ...now.sysctls, ...stored?.sysctls },
    neighbours: [
      ...(stored?.neighbours ?? []).filter(isOf(known)),
      ...(fresh.length > 0 ? kernel.readNeighbours().filter(isOf(fresh)) : []),
      ...fresh.flatMap(({ name }) => resolveGateways(kernel, name, routes)),
    ],
    nft: [],
    fdb: [],
    redirects: {},
  };
}

/** How many of these NICs' IPv6 gateways do not answer: a bridge that CNI just made checks its address for a second. */
export function silentGateways(kernel: Kernel, names: readonly string[]): number {
  const routes = kernel.readRoutes();
  const silent = names.flatMap((name) => {
    const gateways = gatewaysOf(name, routes);
    const found = gateways.length === 0 ? [] : kernel.resolveNeighbours(name, gateways);
    return gateways.filter((gateway) => !found.some(({ ip }) => ip === gateway));
  });
  return silent.length;
}

function resolveGateways(
  kernel: Kernel,
  link: string,
  routes: Observed["routes"],
): readonly ObservedNeighbour[] {
  const gateways = gatewaysOf(link, routes);
  return gateways.length === 0 ? [] : kernel.resolveNeighbours(link, gateways);
}

/** IPv6 only: who advertises the router to the guest must know where it is. ARP finds IPv4 gateways by itself. */
function gatewaysOf(link: string, routes: Observed["routes"]): readonly Ip[] {
  return routes
    .filter((route) => route.link === link && cidrPrefix(route.destination) === 0)
    .map(({ gateway }) => gateway)
    .filter((gateway): gateway is Ip => gateway !== undefined && familyOf(gateway) === 6);
}
