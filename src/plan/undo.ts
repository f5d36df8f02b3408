/**
 * The inverse of a step, as steps, from what was there before: what the journal holds, so that a step is undone
 * by the same executors after any crash. A step without an inverse does not compile.
 */
import { type Cidr, cidrNetwork, cidrPrefix, familyOf, type Ip, toCidr } from "../base/ip.ts";
import { LINK_MARK } from "../base/names.ts";
import type { Observed, ObservedLink, ObservedRoute } from "./observed.ts";
import type { LinkChanges, Step, StepOf, StepOp } from "./step.ts";

/** IP6_RT_PRIO_ADDRCONF. */
const PREFIX_ROUTE_METRIC = 256;

const deleteLink = ({ name }: { readonly name: string }, before: Observed): readonly Step[] =>
  linkOf(before, name) ? [] : [{ op: "link.delete", name }];

type Inverse<O extends StepOp> = (step: StepOf<O>, before: Observed) => readonly Step[];

const inverses: { readonly [O in StepOp]: Inverse<O> } = {
  "bridge.add": deleteLink,
  "tap.add": deleteLink,
  "park.add": deleteLink,
  "macvlan.add": deleteLink,
  "link.set": ({ name, changes }, before) => {
    const old = linkOf(before, name);
    if (old === undefined || isOurs(old)) return [];
    return [{ op: "link.set", name: changes.rename ?? name, changes: formerValues(old, changes) }];
  },
  // What podtap made is made anew by the next plan, not by an undo.
  "link.delete": () => [],
  "address.add": ({ link, address }, before) => {
    const old = linkOf(before, link);
    return old === undefined || isOurs(old) || old.addresses.includes(address)
      ? []
      : [{ op: "address.delete", link, address }];
  },
  "address.delete": ({ link, address, peer }, before) => {
    const old = linkOf(before, link);
    // The kernel makes it anew when the router speaks again; by us it would stay for ever.
    if (old === undefined || isOurs(old) || old.advertised?.includes(address)) return [];
    const prefix = prefixRoute(old, address, peer);
    const hadPrefix = before.routes.some(
      (route) => route.fromAddress && route.link === link && route.destination === prefix.destination,
    );
    return [
      { op: "address.add", link, address, ...(peer !== undefined && { peer }) },
      // CNI's ptp takes the kernel's route away, so that neighbours are spoken to over the gateway.
      ...(hadPrefix || !old.up ? [] : [{ op: "route.delete" as const, route: prefix }]),
    ];
  },
  "route.add": ({ route }) => [{ op: "route.delete", route }],
  "route.delete": ({ route }) => (route.advertised ? [] : [{ op: "route.add", route }]),
  "neighbour.add": ({ link, ip }, before) => {
    const old = before.neighbours.find((entry) => entry.link === link && entry.ip === ip && entry.permanent);
    if (isOursOrNew(before, link)) return [];
    return old === undefined
      ? [{ op: "neighbour.delete", link, ip }]
      : [{ op: "neighbour.add", link, ip, mac: old.mac }];
  },
  "neighbour.delete": ({ link, ip }, before) => {
    const old = before.neighbours.find((entry) => entry.link === link && entry.ip === ip && entry.permanent);
    return old === undefined || isOursOrNew(before, link)
      ? []
      : [{ op: "neighbour.add", link, ip, mac: old.mac }];
  },
  // A port that leaves its bridge takes its entries along.
  "fdb.add": () => [],
  "fdb.delete": () => [],
  "redirect.set": ({ link }, before) =>
    isOursOrNew(before, link) || (before.redirects[link] ?? null) !== null
      ? []
      : [{ op: "redirect.delete", link }],
  "redirect.delete": () => [],
  "sysctl.set": ({ key, value }, before) => {
    const old = before.sysctls[key] ?? null;
    const link = before.links.find(({ name }) => key.split("/").includes(name));
    return old === null || old === value || (link !== undefined && isOurs(link))
      ? []
      : [{ op: "sysctl.set", key, value: old }];
  },
  "nft.replace": ({ tables }, before) => {
    const made = tables.filter(
      (table) => !before.nft.some((old) => old.family === table.family && old.name === table.name),
    );
    return made.length === 0
      ? []
      : [{ op: "nft.delete", tables: made.map(({ family, name }) => ({ family, name })) }];
  },
  "nft.delete": () => [],
};

/** The undo of every step of a run, in the steps' order; names are followed through renames. */
export function undosOf(steps: readonly Step[], before: Observed): readonly (readonly Step[])[] {
  let view = before;
  return steps.map((step) => {
    const undo = undoOf(step, view);
    if (step.op === "link.set" && step.changes.rename !== undefined) {
      view = renamed(view, step.name, step.changes.rename);
    }
    return undo;
  });
}

export function undoOf(step: Step, before: Observed): readonly Step[] {
  const inverse = inverses[step.op] as Inverse<StepOp>;
  return inverse(step, before);
}

/** A link that podtap made, in this run or an earlier one: deleting it undoes everything about it. */
function isOurs(link: ObservedLink): boolean {
  return link.alias === LINK_MARK;
}

function isOursOrNew(before: Observed, name: string): boolean {
  const link = linkOf(before, name);
  return link === undefined || isOurs(link);
}

function renamed(observed: Observed, from: string, to: string): Observed {
  const name = (text: string): string => (text === from ? to : text);
  return {
    ...observed,
    links: observed.links.map((link) => ({
      ...link,
      name: name(link.name),
      ...(link.master !== undefined && { master: name(link.master) }),
    })),
    routes: observed.routes.map((route) => ({ ...route, link: name(route.link) })),
    neighbours: observed.neighbours.map((entry) => ({ ...entry, link: name(entry.link) })),
    sysctls: Object.fromEntries(
      Object.entries(observed.sysctls).map(([key, value]) => [key.split("/").map(name).join("/"), value]),
    ),
  };
}

/** What the kernel makes of an address on its own. */
function prefixRoute({ name }: ObservedLink, address: Cidr, peer: Ip | undefined): ObservedRoute {
  const prefix = cidrPrefix(address);
  return {
    destination: toCidr(cidrNetwork(peer === undefined ? address : toCidr(peer, prefix)), prefix),
    link: name,
    ...(familyOf(address) === 6 && { metric: PREFIX_ROUTE_METRIC }),
    fromAddress: true,
  };
}

function linkOf(observed: Observed, name: string): ObservedLink | undefined {
  return observed.links.find((link) => link.name === name);
}

function formerValues(old: ObservedLink, changes: LinkChanges): LinkChanges {
  return {
    ...(changes.up !== undefined && { up: old.up }),
    ...(changes.mtu !== undefined && { mtu: old.mtu }),
    ...(changes.mac !== undefined && old.mac !== undefined && { mac: old.mac }),
    ...(changes.master !== undefined && { master: old.master ?? null }),
    ...(changes.rename !== undefined && { rename: old.name }),
    ...(changes.port !== undefined && old.port !== undefined && { port: old.port }),
  };
}
