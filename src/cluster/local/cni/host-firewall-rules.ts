/** Whose the rules in a listing of the host's ruleset are, which of them are podtap's, and what a person would type. */
import type { Killer } from "../../../nft/foreign-verdict.ts";

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
export function isIptables({ family, table, chain }: Killer): boolean {
  return (family === "ip" || family === "ip6") && table === FILTER && chain === "FORWARD";
}

export function isFirewalld({ table }: Killer): boolean {
  return table === "firewalld";
}

/** Has iptables' filter table this chain? */
export function hasChain(listing: unknown, family: string, name: string): boolean {
  return entriesOf(listing).some(
    ({ chain }) => chain?.family === family && chain.table === FILTER && chain.name === name,
  );
}

/**
 * How many rules of a chain of iptables accept by the bridge's name. The comment that marks ours is not in a listing,
 * only that there is one: iptables is to be asked to delete what bears it.
 */
export function markedRules(
  listing: unknown,
  place: { readonly family: string; readonly chain: string; readonly key: string; readonly bridge: string },
): number {
  const named = { match: { op: "==", left: { meta: { key: place.key } }, right: place.bridge } };
  return entriesOf(listing).filter(
    ({ rule }) =>
      rule?.family === place.family &&
      rule.table === FILTER &&
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
  if (!isIptables(killer)) {
    return (
      `nft insert rule ${family} ${table} ${chain} iifname "${bridge}" accept; ` +
      `nft insert rule ${family} ${table} ${chain} oifname "${bridge}" ct state established,related accept`
    );
  }
  const docker = hasChain(listing, family, "DOCKER-USER");
  if (!docker && hasChain(listing, family, family === "ip" ? "ufw-user-forward" : "ufw6-user-forward")) {
    return `ufw route allow in on ${bridge}`;
  }
  const insert = `${family === "ip" ? "iptables" : "ip6tables"} -I ${docker ? "DOCKER-USER" : chain}`;
  return (
    `${insert} -i ${bridge} -j ACCEPT; ` +
    `${insert} -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`
  );
}

const FILTER = "filter";

function entriesOf(listing: unknown): readonly Entry[] {
  return (listing as { readonly nftables?: readonly Entry[] }).nftables ?? [];
}
