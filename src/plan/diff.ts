/**
 * From a plan and what is there to the steps that are missing. Compares planned fields only and adds nothing that
 * nobody planned; applying the result and asking again gives no steps.
 *
 * The order is what makes half a run harmless: rules, so that the guest's door is guarded before there is a door;
 * the pod's NIC steps aside; links are made, under the name it left too; settings; joining and switching on; and
 * redirects last, since they deafen the pod.
 */
import type { Mac } from "../base/mac.ts";
import { LINK_MARK } from "../base/names.ts";
import type { NftTable, NftTableId } from "../nft/model.ts";
import { linkSettings, missingLink } from "./diff-links.ts";
import { podNicSettings, stepAside } from "./diff-pod-nic.ts";
import type { Observed, ObservedNftTable } from "./observed.ts";
import type { LinkPlan, OwnLinkPlan, Plan, PodNicPlan, RedirectPlan } from "./plan.ts";
import { redirectDigest } from "./redirect-digest.ts";
import type { Step } from "./step.ts";

/**
 * @param applied digests of our nft tables as the kernel listed them right after they were last applied; a table
 *   whose digest is unknown or differs is replaced.
 */
export function diffPlan(
  plan: Plan,
  observed: Observed,
  applied: readonly ObservedNftTable[],
): readonly Step[] {
  const links = linksOf(plan);
  const own = links.filter(isOwn);
  const podNics = links.filter(isPodNic);
  const sysctls = plan.nics.flatMap((nic) => nic.sysctls);
  const hooks = ({ chains }: NftTable, some: readonly OwnLinkPlan[]): boolean =>
    chains.some(({ hook }) => some.some(({ name }) => name === hook?.device));
  const hooksOwn = (table: NftTable): boolean => hooks(table, own);
  // Kernels before 6.16 take a link's hooks away with it, and count no change.
  const made = own.filter((link) => missingLink(link, observed).length > 0);
  // What is there under its name is another's, and steps aside.
  const isNew = (key: string): boolean => made.some(({ name }) => key.split("/").includes(name));
  const tables = plan.nics
    .flatMap((nic) => nic.nft)
    .filter((table) => !isInPlace(table, observed, applied) || hooks(table, made));
  return [
    ...replaceTables(
      tables.filter((table) => !hooksOwn(table)),
      observed,
    ),
    ...podNics.flatMap((nic) => stepAside(nic, observed)),
    ...own.flatMap((link) => missingLink(link, observed)),
    // Kernels before 6.16 hook only a link that is there; nobody is behind it yet.
    ...replaceTables(tables.filter(hooksOwn), observed),
    ...sysctls
      .filter(({ key, value }) => isNew(key) || observed.sysctls[key] !== value)
      .map(({ key, value }): Step => ({ op: "sysctl.set", key, value })),
    ...own.flatMap((link) => linkSettings(link, observed)),
    ...podNics.flatMap((nic) => podNicSettings(nic, observed)),
    ...links.flatMap((link) => missingNeighbours(link, observed)),
    ...links.flatMap((link) => missingFdb(link, observed)),
    ...links.flatMap((link) => missingRedirect(link, observed)),
  ];
}

/** What must be read beside links, routes and rules for a diff of this plan to be exact. */
export interface DiffNeeds {
  readonly sysctls: readonly string[];
  readonly neighbours: boolean;
  readonly fdb: boolean;
  readonly redirects: readonly string[];
}

export function needsOf(plan: Plan): DiffNeeds {
  const links = linksOf(plan);
  return {
    sysctls: plan.nics.flatMap((nic) => nic.sysctls.map(({ key }) => key)),
    neighbours: links.some(
      (link) =>
        (link.type === "bridge" && (link.neighbours ?? []).length > 0) ||
        (link.type === "pod-nic" && link.released),
    ),
    fdb: links.some((link) => macsBehind(link).length > 0),
    redirects: links.filter((link) => redirectOf(link) !== undefined).map(({ name }) => name),
  };
}

/** The plan backwards: only what podtap made and only where it is still there. */
export function teardownSteps(plan: Plan, observed: Observed): readonly Step[] {
  const links = linksOf(plan).toReversed();
  const tables = plan.nics
    .flatMap((nic) => nic.nft)
    .filter((table) => observed.nft.some((there) => sameTable(table, there)));
  return [
    ...links
      .filter(({ name }) => (observed.redirects[name] ?? null) !== null)
      .map(({ name }): Step => ({ op: "redirect.delete", link: name })),
    ...links
      .filter(isOwn)
      .filter(({ name }) => observed.links.some((link) => link.name === name && link.alias === LINK_MARK))
      .map(({ name }): Step => ({ op: "link.delete", name })),
    ...(tables.length > 0
      ? [{ op: "nft.delete" as const, tables: tables.map(({ family, name }) => ({ family, name })) }]
      : []),
  ];
}

function replaceTables(tables: readonly NftTable[], observed: Observed): readonly Step[] {
  if (tables.length === 0) return [];
  const fresh = !tables.some((table) => observed.nft.some((there) => sameTable(table, there)));
  return [{ op: "nft.replace", tables, ...(fresh && { fresh }) }];
}

function missingNeighbours(link: LinkPlan, observed: Observed): readonly Step[] {
  if (link.type !== "bridge") return [];
  const there = observed.neighbours.filter((entry) => entry.link === link.name && entry.permanent);
  const wanted = link.neighbours ?? [];
  return [
    // The bridge is ours, so every lasting entry of it is planned.
    ...there
      .filter(({ ip }) => !wanted.some((entry) => entry.ip === ip))
      .map(({ ip }): Step => ({ op: "neighbour.delete", link: link.name, ip })),
    ...wanted
      .filter(({ ip, mac }) => !there.some((entry) => entry.ip === ip && entry.mac === mac))
      .map(({ ip, mac }): Step => ({ op: "neighbour.add", link: link.name, ip, mac })),
  ];
}

function missingFdb(link: LinkPlan, observed: Observed): readonly Step[] {
  return macsBehind(link)
    .filter((mac) => !observed.fdb.some((entry) => entry.port === link.name && entry.mac === mac))
    .map((mac) => ({ op: "fdb.add", port: link.name, mac }));
}

function missingRedirect(link: LinkPlan, observed: Observed): readonly Step[] {
  const redirect = redirectOf(link);
  if (redirect === undefined) return [];
  const there = observed.redirects[link.name] ?? null;
  // The digest covers it all; where a link was made anew the filter still names the one that is gone.
  if (there?.to === redirect.to && there.digest === redirectDigest(redirect)) return [];
  return [{ op: "redirect.set", link: link.name, redirect }];
}

function macsBehind(link: LinkPlan): readonly Mac[] {
  return (link.type === "tap" || link.type === "pod-nic" ? link.port?.staticMacs : undefined) ?? [];
}

function redirectOf(link: LinkPlan): RedirectPlan | undefined {
  return link.type === "tap" || link.type === "pod-nic" ? link.redirect : undefined;
}

function isInPlace(table: NftTable, observed: Observed, applied: readonly ObservedNftTable[]): boolean {
  const now = observed.nft.find((there) => sameTable(table, there));
  return now !== undefined && now.digest === applied.find((there) => sameTable(table, there))?.digest;
}

function sameTable(a: NftTableId, b: NftTableId): boolean {
  return a.family === b.family && a.name === b.name;
}

function linksOf(plan: Plan): readonly LinkPlan[] {
  return plan.nics.flatMap((nic) => nic.links);
}

function isOwn(link: LinkPlan): link is OwnLinkPlan {
  return link.type !== "pod-nic";
}

function isPodNic(link: LinkPlan): link is PodNicPlan {
  return link.type === "pod-nic";
}
