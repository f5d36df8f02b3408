/** Reads of a namespace what a plan depends on, and no more: with a thousand namespaces every read costs. */
import type { DiffNeeds } from "../plan/diff.ts";
import type { Observed, ObservedNftTable } from "../plan/observed.ts";
import type { Journal } from "./journal.ts";
import type { Kernel } from "./ports.ts";

/** What our nft tables' names begin with. */
export const TABLE_PREFIX = "podtap";

/** Everything that a diff of a plan compares; of what is dear to read, only what the plan has. */
export function observe(kernel: Kernel, needs: Partial<DiffNeeds> = {}): Observed {
  return { ...observeLinks(kernel, needs.sysctls ?? []), ...observeRest(kernel, needs) };
}

/** Links, routes and settings: what planning begins with. */
export function observeLinks(
  kernel: Kernel,
  sysctls: readonly string[],
): Pick<Observed, "links" | "routes" | "sysctls"> {
  const links = kernel.readLinks();
  return { links, routes: kernel.readRoutes(links), sysctls: readSysctls(kernel, sysctls, links) };
}

/** The rest, but for the rules, which are dear to list. */
export function observeLayer2(
  kernel: Kernel,
  { neighbours = false, fdb = false, redirects = [] }: Partial<DiffNeeds>,
): Pick<Observed, "neighbours" | "fdb" | "redirects"> {
  return {
    neighbours: neighbours ? kernel.readNeighbours() : [],
    fdb: fdb ? kernel.readFdb() : [],
    redirects: redirects.length > 0 ? kernel.readRedirects(redirects) : {},
  };
}

function observeRest(
  kernel: Kernel,
  needs: Partial<DiffNeeds>,
): Omit<Observed, "links" | "routes" | "sysctls"> {
  return { ...observeLayer2(kernel, needs), nft: kernel.readNftTables(TABLE_PREFIX) };
}

/** null for the keys of a link that is not there, without asking. */
export function readSysctls(
  kernel: Kernel,
  keys: readonly string[],
  links: Observed["links"],
): Readonly<Record<string, string | null>> {
  const isAbsent = (key: string): boolean => {
    const link = /^net\/ipv[46]\/conf\/([^/]+)\//.exec(key)?.[1];
    return (
      link !== undefined && link !== "all" && link !== "default" && !links.some(({ name }) => name === link)
    );
  };
  return Object.fromEntries(keys.map((key) => [key, isAbsent(key) ? null : kernel.readSysctl(key)]));
}

export interface RulesState {
  /** Our tables as they are. */
  readonly observed: readonly ObservedNftTable[];
  /** Our tables as they were when they had just been applied; empty when that is not known. */
  readonly applied: readonly ObservedNftTable[];
}

/**
 * Compares without listing where the ruleset's generation says that nobody touched it. The first look after a run
 * lists once and notes the digests, so that a later change of foreign tables does not pass for one of ours.
 */
export function observeRules(kernel: Kernel, journal: Journal): RulesState {
  // Whatever stands there under our name is not what we know, so it is replaced.
  if (journal.blank) return { observed: [], applied: [] };
  const applied = journal.applied;
  if (applied === undefined) return { observed: kernel.readNftTables(TABLE_PREFIX), applied: [] };
  if (applied.generation !== kernel.readNftGeneration()) {
    return { observed: kernel.readNftTables(TABLE_PREFIX), applied: applied.tables ?? [] };
  }
  if (applied.tables !== undefined) return { observed: applied.tables, applied: applied.tables };
  const tables = kernel.readNftTables(TABLE_PREFIX);
  journal.done({ generation: applied.generation, tables });
  return { observed: tables, applied: tables };
}
