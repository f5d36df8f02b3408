/** Links that podtap makes: what is missing of them, and how those that are there differ from the plan. */
import { type Cidr, familyOf } from "../base/ip.ts";
import { LINK_MARK } from "../base/names.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import type { BridgePortPlan, OwnLinkPlan, TapPlan } from "./plan.ts";
import type { LinkChanges, Step } from "./step.ts";

export function missingLink(link: OwnLinkPlan, observed: Observed): readonly Step[] {
  const there = findLink(observed, link.name);
  if (there !== undefined && isAsMade(link, there)) return [];
  // Some properties are fixed when a link is made; and only what is ours may be in the way.
  const remove: readonly Step[] = isReplaceable(link, there) ? [{ op: "link.delete", name: link.name }] : [];
  return [...remove, makeLink(link)];
}

export function linkSettings(link: OwnLinkPlan, observed: Observed): readonly Step[] {
  const found = findLink(observed, link.name);
  const there = found !== undefined && isAsMade(link, found) ? found : undefined;
  const changes: LinkChanges = {
    ...(link.type === "tap" && portChanges(link, there)),
    ...(there !== undefined &&
      link.type !== "tap" &&
      link.mac !== undefined &&
      there.mac !== link.mac && { mac: link.mac }),
    ...(there !== undefined && there.mtu !== link.mtu && { mtu: link.mtu }),
    ...(link.type === "park" ? there?.up === true && { up: false } : there?.up !== true && { up: true }),
  };
  return [
    ...("addresses" in link ? addressSteps(link, there) : []),
    ...(Object.keys(changes).length > 0 ? [{ op: "link.set" as const, name: link.name, changes }] : []),
  ];
}

/** What has to change for a link to be the wanted bridge port. */
export function portChanges(
  link: { readonly master?: string; readonly port?: BridgePortPlan },
  there: ObservedLink | undefined,
): LinkChanges {
  const port = Object.fromEntries(
    (["learning", "neighbourSuppression"] as const)
      .filter((flag) => link.port?.[flag] !== undefined && there?.port?.[flag] !== link.port[flag])
      .map((flag) => [flag, link.port?.[flag]]),
  );
  return {
    ...(link.master !== undefined && there?.master !== link.master && { master: link.master }),
    ...(Object.keys(port).length > 0 && { port }),
  };
}

export function findLink(observed: Observed, name: string): ObservedLink | undefined {
  return observed.links.find((link) => link.name === name);
}

function makeLink(link: OwnLinkPlan): Step {
  const { name, mtu } = link;
  switch (link.type) {
    case "bridge":
      return { op: "bridge.add", name, ...(link.mac && { mac: link.mac }), mtu };
    case "tap":
      return { op: "tap.add", name, uid: link.uid, multiQueue: link.multiQueue, mtu };
    case "park":
      return { op: "park.add", name, kind: link.kind, mac: link.mac, mtu };
    case "macvlan":
    case "macvtap": {
      const tap = link.type === "macvtap";
      return { op: "macvlan.add", name, lower: link.lower, mode: link.mode, tap, mac: link.mac, mtu };
    }
  }
}

/** A foreign link of the name counts as not there: making ours is refused with its name. */
function isAsMade(link: OwnLinkPlan, there: ObservedLink): boolean {
  if (there.alias !== LINK_MARK) return false;
  switch (link.type) {
    case "tap":
      return sameTap(link, there);
    case "park":
      return there.type === link.kind;
    case "bridge":
      return there.type === "bridge";
    case "macvlan":
    case "macvtap":
      return there.type === link.type && there.macvlan?.mode === link.mode;
  }
}

function isReplaceable(link: OwnLinkPlan, there: ObservedLink | undefined): boolean {
  return there !== undefined && there.alias === LINK_MARK && !isAsMade(link, there);
}

function sameTap(link: TapPlan, there: ObservedLink): boolean {
  if (there.type !== "tun") return false;
  return there.tap === undefined || (there.tap.uid === link.uid && there.tap.multiQueue === link.multiQueue);
}

/** The link is ours, so every address of it is planned; a link-local one is the kernel's own. */
function addressSteps(link: Exclude<OwnLinkPlan, TapPlan>, there: ObservedLink | undefined): readonly Step[] {
  const { name, addresses: wanted } = link;
  const has = there?.addresses ?? [];
  // Proven, it would be the pod's own, and a bridge does not answer for the guest what is the pod's own.
  const isTentative = (address: Cidr): boolean => link.type === "park" && familyOf(address) === 6;
  return [
    ...has
      .filter((address) => !wanted.includes(address) && !address.startsWith("fe80:"))
      .map((address): Step => ({ op: "address.delete", link: name, address })),
    ...wanted
      .filter((address) => !has.includes(address))
      .map(
        (address): Step => ({
          op: "address.add",
          link: name,
          address,
          ...(isTentative(address) && { tentative: true }),
        }),
      ),
  ];
}
