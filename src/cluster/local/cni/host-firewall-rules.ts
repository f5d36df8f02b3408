/** Whose the rules in a listing of the host's ruleset are, which of them are podtap's, and what a person would type. */
import type { Killer } from "../../../nft/foreign-verdict.ts";

/** A table of iptables: nftables' own, or one that only iptables-legacy knows, by the name it has in our listing. */
export interface FilterTable {
  readonly family: "ip" | "ip6";
  readonly table: "filter" | "filter-legacy";
}

export const FILTER_TABLES: readonly FilterTable[] = (["ip", "ip6"] as const).flatMap((family) =>
  (["filter", "filter-legacy"] as const).map((table) => ({ family, table })),
);

export function programOf({ family, table }: FilterTable): string {
  return `${family === "ip" ? "iptables" : "ip6tables"}${table === "filter" ? "" : "-legacy"}`;
}

export function isSameTable(
  one: FilterTable,
  other: { readonly family: string; readonly table: string },
): boolean {
  return one.family === other.family && one.table === other.table;
}

interface Entry {
  readonly chain?: { readonly family: string; readonly table: string; readonly name: string };
  readonly rule?: {
    readonly family: string;
    readonly table: string;
    readonly chain: string;
    readonly expr: readonly unknown[];
  };
}

/** iptables-nft keeps its rules under the names that iptables has. */
export function filterTableOf(killer: Killer): FilterTable | undefined {
  return killer.chain === "FORWARD" ? FILTER_TABLES.find((one) => isSameTable(one, killer)) : undefined;
}

export function isFirewalld({ table }: Killer): boolean {
  return table === "firewalld";
}

export function hasChain(listing: unknown, table: FilterTable, name: string): boolean {
  return entriesOf(listing).some(
    ({ chain }) => chain !== undefined && isSameTable(table, chain) && chain.name === name,
  );
}

export function rulesOf(listing: unknown, table: FilterTable): readonly unknown[] {
  return entriesOf(listing).filter(({ rule }) => rule !== undefined && isSameTable(table, rule));
}

export function withoutTable(listing: unknown, table: FilterTable): readonly unknown[] {
  return entriesOf(listing).filter(({ rule, chain }) => {
    const place = rule ?? chain;
    return place === undefined || !isSameTable(table, place);
  });
}

/**
 * How many rules of a chain of iptables accept by the bridge's name. The comment that marks ours is not in a listing,
 * only that there is one: iptables is to be asked to delete what bears it.
 */
export function markedRules(
  listing: unknown,
  table: FilterTable,
  place: { readonly chain: string; readonly key: string; readonly bridge: string },
): number {
  const named = { match: { op: "==", left: { meta: { key: place.key } }, right: place.bridge } };
  return entriesOf(listing).filter(
    ({ rule }) =>
      rule !== undefined &&
      isSameTable(table, rule) &&
      rule.chain === place.chain &&
      rule.expr.some((statement) => JSON.stringify(statement) === JSON.stringify(named)),
  ).length;
}

/** What lets pods out and answers in, by the tool that the owner of the rule has, for a shell. */
export function hintFor(listing: unknown, killer: Killer, bridge: string): string {
  const { family, table, chain } = killer;
  if (isFirewalld(killer)) {
    const add = `--zone=trusted --add-interface=${bridge}`;
    return `firewall-cmd ${add}; firewall-cmd --permanent ${add}`;
  }
  const filter = filterTableOf(killer);
  if (filter === undefined) {
    return (
      `nft insert rule ${family} ${table} ${chain} iifname "${bridge}" accept; ` +
      `nft insert rule ${family} ${table} ${chain} oifname "${bridge}" ct state established,related accept`
    );
  }
  const docker = hasChain(listing, filter, "DOCKER-USER");
  if (!docker && hasChain(listing, filter, family === "ip" ? "ufw-user-forward" : "ufw6-user-forward")) {
    return `ufw route allow in on ${bridge}`;
  }
  const insert = `${programOf(filter)} -I ${docker ? "DOCKER-USER" : chain}`;
  return (
    `${insert} -i ${bridge} -j ACCEPT; ` +
    `${insert} -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`
  );
}

export function entriesOf(listing: unknown): readonly Entry[] {
  return (listing as { readonly nftables?: readonly Entry[] }).nftables ?? [];
}
