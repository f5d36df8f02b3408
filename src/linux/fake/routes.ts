/** Routes of a fake namespace: those of addresses follow from the links, the rest is remembered. */
import { cidrContains, cidrIp, familyOf, type Ip } from "../../base/ip.ts";
import type { ObservedLink, ObservedRoute, RouteHop } from "../../plan/observed.ts";
import { EINVAL, ENETUNREACH, ENODEV, KernelError } from "../errno.ts";
import { prefixRoutes } from "./addresses.ts";

type Links = () => readonly ObservedLink[];

export class FakeRoutes {
  readonly #links: Links;
  #given: readonly ObservedRoute[];
  /** Prefix routes that somebody deleted. */
  #withoutPrefix: readonly ObservedRoute[] = [];

  constructor(links: Links, given: readonly ObservedRoute[]) {
    this.#links = links;
    this.#given = given;
  }

  /** A multipath route is one entry a hop, each with all of them. Sorted, as the kernel's tree is. */
  list(): readonly ObservedRoute[] {
    return [...this.#given, ...this.#connected()].toSorted(inOrder).map((route) => structuredClone(route));
  }

  add(route: ObservedRoute): void {
    if (!this.#link(route.link)?.up) throw refusal(this.#link(route.link) ? ENETUNREACH : ENODEV, route);
    const same = this.#given.filter((one) => sameRoute(one, route));
    if (same.some((one) => one.gateway === route.gateway && one.link === route.link)) return;
    if (same.length > 0 && route.hops === undefined && familyOf(route.destination) === 4) return;
    this.#refuseUnreachable(route);
    const known: readonly RouteHop[] = route.hops ?? [];
    const hops = known.filter((hop) => sameHop(hop, route) || same.some((one) => sameHop(hop, one)));
    const metric = route.metric ?? (familyOf(route.destination) === 6 ? 1024 : undefined);
    const { fromAddress: _, hops: __, ...plain } = { ...route, ...(metric !== undefined && { metric }) };
    this.#given =
      hops.length > 1
        ? [...this.#given.filter((one) => !same.includes(one)), ...spread(plain, hops)]
        : [...this.#given, plain];
  }

  delete(route: ObservedRoute): void {
    if (route.fromAddress) {
      this.#withoutPrefix = [...this.#withoutPrefix, route];
      return;
    }
    const same = this.#given.filter((one) => sameRoute(one, route));
    const rest = same.filter((one) => !sameHop(one, route));
    if (rest.length === same.length) return;
    const hops = (rest[0]?.hops ?? []).filter((hop) => !sameHop(hop, route));
    this.#given = [
      ...this.#given.filter((one) => !same.includes(one)),
      ...rest.map(({ hops: _, ...one }) => (hops.length > 1 ? { ...one, hops } : one)),
    ];
  }

  /** What the kernel drops when a link lost an address, or went down. */
  settle(): void {
    const isLost = ({ link, source, destination }: ObservedRoute): boolean => {
      const there = this.#link(link);
      if (there === undefined || !there.up) return true;
      if (familyOf(destination) === 6) return false;
      const own = there.addresses.filter((address) => familyOf(address) === 4);
      return own.length === 0 || (source !== undefined && !this.#isOwn(source));
    };
    this.#given = this.#given.filter((route) => !isLost(route));
    const connected = this.#links().flatMap(prefixRoutes);
    this.#withoutPrefix = this.#withoutPrefix.filter((route) =>
      connected.some((one) => sameHopOf(one, route)),
    );
  }

  rename(from: string, to: string): void {
    const name = <T extends { readonly link: string }>(one: T): T =>
      one.link === from ? { ...one, link: to } : one;
    this.#given = this.#given.map((route) => ({
      ...name(route),
      ...(route.hops && { hops: route.hops.map(name) }),
    }));
    this.#withoutPrefix = this.#withoutPrefix.map(name);
  }

  #connected(): readonly ObservedRoute[] {
    return this.#links()
      .filter(({ up, name }) => up && name !== "lo")
      .flatMap(prefixRoutes)
      .filter((route) => !this.#withoutPrefix.some((gone) => sameHopOf(gone, route)));
  }

  #refuseUnreachable(route: ObservedRoute): void {
    const { gateway, link, onLink, source } = route;
    if (source !== undefined && !this.#isOwn(source)) throw refusal(EINVAL, route);
    if (gateway === undefined || onLink || gateway.startsWith("fe80:")) return;
    const reaches = (one: ObservedRoute): boolean =>
      one.link === link && one.gateway === undefined && cidrContains(one.destination, gateway);
    if (!this.list().some(reaches)) throw refusal(ENETUNREACH, route);
  }

  #isOwn(ip: Ip): boolean {
    return this.#links().some(({ addresses }) => addresses.some((address) => cidrIp(address) === ip));
  }

  #link(name: string): ObservedLink | undefined {
    return this.#links().find((link) => link.name === name);
  }
}

function spread(route: ObservedRoute, hops: readonly RouteHop[]): readonly ObservedRoute[] {
  const { gateway: _, onLink: __, ...common } = route;
  return hops.map(({ weight: ___, ...hop }) => ({ ...common, ...hop, hops }));
}

function inOrder(a: ObservedRoute, b: ObservedRoute): number {
  return (
    familyOf(a.destination) - familyOf(b.destination) ||
    a.destination.localeCompare(b.destination) ||
    (a.metric ?? 0) - (b.metric ?? 0)
  );
}

function sameRoute(a: ObservedRoute, b: ObservedRoute): boolean {
  const metric = ({ metric = 0 }: ObservedRoute): number => metric;
  return a.destination === b.destination && metric(a) === metric(b);
}

function sameHop(a: Pick<RouteHop, "gateway" | "link">, b: Pick<RouteHop, "gateway" | "link">): boolean {
  return a.gateway === b.gateway && a.link === b.link;
}

function sameHopOf(a: ObservedRoute, b: ObservedRoute): boolean {
  return a.destination === b.destination && sameHop(a, b);
}

function refusal(errno: number, { destination }: ObservedRoute): KernelError {
  return new KernelError({ errno, operation: "add the route to", object: destination });
}
