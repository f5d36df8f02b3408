/** Routes of one namespace's main table, over its rtnetlink socket. */
import { familyOf } from "../base/ip.ts";
import type { ObservedLink, ObservedRoute, RouteHop } from "../plan/observed.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../wire/netlink.ts";
import {
  decodeRoute,
  encodeRoute,
  encodeRouteDeletion,
  encodeRouteQuestion,
  type RouteInfo,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
} from "../wire/netlink-route.ts";
import { EEXIST, ENODEV, ESRCH, errnoOf } from "./errno.ts";
import { needLink, readLinks } from "./links.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

export function readRoutes(
  rtnetlink: Rtnetlink,
  links: readonly Pick<ObservedLink, "index" | "name">[] = readLinks(rtnetlink),
): readonly ObservedRoute[] {
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const nameOf = (index: number): string => names.get(index) ?? `if${index}`;
  return rtnetlink
    .dump(RTM_GETROUTE, encodeRouteQuestion(), "routes")
    .flatMap(decodeRoute)
    .map(({ hops, ...route }) => ({
      ...route,
      link: nameOf(route.link),
      ...(hops && { hops: hops.map((hop) => ({ ...hop, link: nameOf(hop.link) })) }),
    }));
}

/** A hop of a multipath route joins those of them that are there. */
export function addRoute(rtnetlink: Rtnetlink, route: ObservedRoute): void {
  const operation = "add the route to";
  const there = route.hops === undefined ? [] : hopsThere(rtnetlink, route);
  if (there.some((hop) => sameHop(hop, route))) return;
  const order = route.hops ?? [];
  const own = order.find((hop) => sameHop(hop, route));
  const hops = own === undefined ? [] : [...order.filter((hop) => hop === own || has(there, hop)), ...there];
  const wanted = hops.filter((hop, at) => hops.findIndex((other) => sameHop(hop, other)) === at);
  // IPv6 takes routes of one metric beside each other: one that a router advertised must not keep out CNI's.
  const beside = familyOf(route.destination) === 6 ? 0 : NLM_F_EXCL;
  rtnetlink.change({
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | (there.length > 0 ? NLM_F_REPLACE : beside),
    payload: encode(rtnetlink, route, wanted, operation),
    operation,
    object: describe(route),
    accept: [EEXIST],
    hint: "its gateway must be reachable over a route that is there already",
  });
}

export function deleteRoute(rtnetlink: Rtnetlink, route: ObservedRoute): void {
  const operation = "delete the route to";
  const object = describe(route);
  try {
    const there = route.hops === undefined ? [] : hopsThere(rtnetlink, route);
    const rest = there.filter((hop) => !sameHop(hop, route));
    if (route.hops !== undefined && rest.length === there.length) return;
    const [first] = rest;
    if (first === undefined) {
      const payload = encodeRouteDeletion(toInfo(rtnetlink, route, operation));
      rtnetlink.change({ type: RTM_DELROUTE, payload, operation, object, accept: [ESRCH] });
      return;
    }
    // The kernel deletes a multipath route of IPv4 whole, whichever hop it is asked for.
    const { gateway: _, onLink: __, ...common } = route;
    rtnetlink.change({
      type: RTM_NEWROUTE,
      flags: NLM_F_REPLACE,
      payload: encode(rtnetlink, { ...common, ...withoutWeight(first) }, rest, operation),
      operation,
      object,
    });
  } catch (thrown) {
    if (errnoOf(thrown) !== ENODEV) throw thrown;
  }
}

/** What there is of a multipath route; the last hop alone is a plain one. */
function hopsThere(rtnetlink: Rtnetlink, { destination, metric }: ObservedRoute): readonly RouteHop[] {
  const [route] = readRoutes(rtnetlink).filter(
    (one) => one.destination === destination && one.metric === metric,
  );
  if (route === undefined) return [];
  const { gateway, link, onLink } = route;
  return route.hops ?? [{ ...(gateway && { gateway }), link, ...(onLink && { onLink }), weight: 1 }];
}

function encode(
  rtnetlink: Rtnetlink,
  route: ObservedRoute,
  hops: readonly RouteHop[],
  operation: string,
): Uint8Array {
  const indexOf = (name: string): number => needLink(rtnetlink, name, operation).index;
  return encodeRoute(
    toInfo(rtnetlink, route, operation),
    hops.map((hop) => ({ ...hop, link: indexOf(hop.link) })),
  );
}

function toInfo(rtnetlink: Rtnetlink, route: ObservedRoute, operation: string): Omit<RouteInfo, "hops"> {
  const { hops: _, ...rest } = route;
  return { ...rest, link: needLink(rtnetlink, route.link, operation).index };
}

function sameHop(
  a: Pick<ObservedRoute, "gateway" | "link">,
  b: Pick<ObservedRoute, "gateway" | "link">,
): boolean {
  return a.gateway === b.gateway && a.link === b.link;
}

function has(hops: readonly RouteHop[], hop: RouteHop): boolean {
  return hops.some((other) => sameHop(hop, other));
}

function withoutWeight({ weight: _, ...hop }: RouteHop): Omit<RouteHop, "weight"> {
  return hop;
}

function describe({ destination, gateway, link }: ObservedRoute): string {
  return `${destination}${gateway === undefined ? "" : ` via ${gateway}`} over ${link}`;
}
