/**
 * From a plan and what is there to the steps that are missing. Compares planned fields only and adds nothing that
 * nobody planned; applying the result and asking again gives no steps.
 */
import { LINK_MARK } from "../base/names.ts";
import type { NftTable, NftTableId } from "../nft/model.ts";
import type { Observed, ObservedLink, ObservedNftTable } from "./observed.ts";
import type { BridgePlan, LinkPlan, Plan, TapPlan } from "./plan.ts";
import type { LinkChanges, Step } from "./step.ts";

/**
 * @param applied digests of our nft tables as the kernel listed them right after they were last applied; a table
 *   whose digest is unknown or differs is replaced.
 */
export function diffPlan(
  plan: Plan,
  observed: Observed,
  applied: readonly ObservedNftTable[],
): readonly Step[] {
  const links = plan.nics.flatMap((nic) => nic.links);
  const sysctls = plan.nics.flatMap((nic) => nic.sysctls);
  const steps: Step[] = [];
  // Rules first: the guest's door is guarded before there is a door.
  const tables = plan.nics.flatMap((nic) => nic.nft).filter((table) => !isInPlace(table, observed, applied));
  if (tables.length > 0) {
    const fresh = !tables.some((table) => observed.nft.some((there) => sameTable(table, there)));
    steps.push({ op: "nft.replace", tables, ...(fresh && { fresh }) });
  }
  for (const link of links) steps.push(...missingLink(link, observed));
  for (const { key, value } of sysctls) {
    if (observed.sysctls[key] !== value) steps.push({ op: "sysctl.set", key, value });
  }
  for (const link of links) steps.push(...linkSettings(link, observed));
  return steps;
}

/** Keys that must be read for a diff of this plan to be exact. */
export function sysctlsOf(plan: Plan): readonly string[] {
  return plan.nics.flatMap((nic) => nic.sysctls.map(({ key }) => key));
}

/** The plan backwards: only what podtap made and only where it is still there. */
export function teardownSteps(plan: Plan, observed: Observed): readonly Step[] {
  const links = plan.nics.flatMap((nic) => nic.links).toReversed();
  const tables = plan.nics
    .flatMap((nic) => nic.nft)
    .filter((table) => observed.nft.some((there) => sameTable(table, there)));
  return [
    ...links
      .filter(({ name }) => observed.links.some((link) => link.name === name && link.alias === LINK_MARK))
      .map(({ name }): Step => ({ op: "link.delete", name })),
    ...(tables.length > 0
      ? [{ op: "nft.delete" as const, tables: tables.map(({ family, name }) => ({ family, name })) }]
      : []),
  ];
}

function missingLink(link: LinkPlan, observed: Observed): readonly Step[] {
  const there = find(observed, link.name);
  if (link.type === "bridge") {
    return there
      ? []
      : [{ op: "bridge.add", name: link.name, ...(link.mac && { mac: link.mac }), mtu: link.mtu }];
  }
  const add: Step = {
    op: "tap.add",
    name: link.name,
    uid: link.uid,
    multiQueue: link.multiQueue,
    mtu: link.mtu,
  };
  if (there === undefined) return [add];
  // Owner and queue mode of a tap are fixed when it is made.
  return sameTap(link, there) ? [] : [{ op: "link.delete", name: link.name }, add];
}

function sameTap(link: TapPlan, there: ObservedLink): boolean {
  return there.tap === undefined || (there.tap.uid === link.uid && there.tap.multiQueue === link.multiQueue);
}

function linkSettings(link: LinkPlan, observed: Observed): readonly Step[] {
  const found = find(observed, link.name);
  const there = found !== undefined && link.type === "tap" && !sameTap(link, found) ? undefined : found;
  const changes: LinkChanges = {
    ...(link.type === "tap" &&
      link.master !== undefined &&
      there?.master !== link.master && { master: link.master }),
    ...(link.type === "bridge" &&
      there !== undefined &&
      link.mac !== undefined &&
      there.mac !== link.mac && { mac: link.mac }),
    ...(there !== undefined && there.mtu !== link.mtu && { mtu: link.mtu }),
    ...(there?.up !== true && { up: true }),
  };
  return [
    ...(link.type === "bridge" ? [...strayAddresses(link, there), ...missingAddresses(link, there)] : []),
    ...(Object.keys(changes).length > 0 ? [{ op: "link.set" as const, name: link.name, changes }] : []),
  ];
}

function missingAddresses(link: BridgePlan, there: ObservedLink | undefined): readonly Step[] {
  return link.addresses
    .filter((address) => !there?.addresses.includes(address))
    .map((address) => ({ op: "address.add", link: link.name, address }));
}

/** The bridge is ours, so every address of it is planned; a link-local one is the kernel's own. */
function strayAddresses(link: BridgePlan, there: ObservedLink | undefined): readonly Step[] {
  return (there?.addresses ?? [])
    .filter((address) => !link.addresses.includes(address) && !address.startsWith("fe80:"))
    .map((address) => ({ op: "address.delete", link: link.name, address }));
}

function isInPlace(table: NftTable, observed: Observed, applied: readonly ObservedNftTable[]): boolean {
  const now = observed.nft.find((there) => sameTable(table, there));
  return now !== undefined && now.digest === applied.find((there) => sameTable(table, there))?.digest;
}

function sameTable(a: NftTableId, b: NftTableId): boolean {
  return a.family === b.family && a.name === b.name;
}

function find(observed: Observed, name: string): ObservedLink | undefined {
  return observed.links.find((link) => link.name === name);
}
