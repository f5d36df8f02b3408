/**
 * Does somebody else's ruleset drop our packets, and by which rule? Reads what `nft -j list ruleset` gives (schema:
 * libnftables-json(5)), in which the rules of iptables-nft, and so of Docker and ufw, stand beside native ones.
 *
 * An accept in our own table cannot save a packet: it ends only that table. So every base chain at the hook has its
 * own verdict. What cannot be judged is neither taken for a match nor for none; where it may have saved the packet, the drop
 * is told as uncertain.
 */
import { type Action, type JsonRule, type ProbePacket, readRule } from "./foreign-verdict-rule.ts";

export interface Killer {
  readonly family: string;
  readonly table: string;
  /** The base chain. */
  readonly chain: string;
  /** Chain and handle of the rule; absent: the base chain's policy. */
  readonly rule?: { readonly chain: string; readonly handle: number };
  /** false: a rule before it that cannot be judged may have let the packet through. */
  readonly certain: boolean;
}

/** As `nft -j` lists it, without what is not asked of it. */
export interface JsonChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

type Verdict = "accept" | "return" | JsonRule;

/** How deep chains may jump; the kernel's own limit is 16 (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 16;

/**
 * @param listing parsed JSON of the ruleset
 * @param own prefix of the names of tables that are not foreign
 */
export function foreignDrops(listing: unknown, packet: ProbePacket, own: string): readonly Killer[] {
  const entries =
    (listing as { readonly nftables?: readonly Readonly<Record<string, unknown>>[] }).nftables ?? [];
  const chains = entries.flatMap(({ chain }) => (chain === undefined ? [] : [chain as JsonChain]));
  const rules = entries.flatMap(({ rule }) => (rule === undefined ? [] : [rule as JsonRule]));
  const judge = (chain: JsonChain): readonly Killer[] => {
    const place = { family: chain.family, table: chain.table, chain: chain.name };
    const walk = walkChain(rules, place, packet, 0);
    const certain = !walk.mayAccept;
    if (typeof walk.verdict === "object") {
      return [{ ...place, rule: { chain: walk.verdict.chain, handle: walk.verdict.handle }, certain }];
    }
    const falls = walk.verdict !== "accept" && chain.policy === "drop";
    return falls ? [{ ...place, certain }] : [];
  };
  return chains
    .filter(({ type, hook }) => type === "filter" && hook === "forward")
    .filter(({ family, table }) => (family === packet.family || family === "inet") && !table.startsWith(own))
    .flatMap(judge);
}

interface Walk {
  readonly verdict: Verdict | undefined;
  /** A rule that could not be judged would have accepted. */
  readonly mayAccept: boolean;
}

function walkChain(
  rules: readonly JsonRule[],
  place: { readonly family: string; readonly table: string; readonly chain: string },
  packet: ProbePacket,
  depth: number,
): Walk {
  let mayAccept = false;
  const own = rules.filter(
    ({ family, table, chain }) => family === place.family && table === place.table && chain === place.chain,
  );
  for (const rule of own) {
    const { certainty, actions } = readRule(rule, packet);
    if (certainty === "no") continue;
    for (const action of actions) {
      const step = actOn(rules, rule, place, packet, depth, action);
      mayAccept ||= step.mayAccept;
      if (certainty === "yes" && step.verdict !== undefined) return { verdict: step.verdict, mayAccept };
      // One that may have returned may have passed by the drop that follows it.
      if (certainty === "unknown" && typeof step.verdict === "string") mayAccept = true;
    }
  }
  return { verdict: undefined, mayAccept };
}

function actOn(
  rules: readonly JsonRule[],
  rule: JsonRule,
  place: { readonly family: string; readonly table: string },
  packet: ProbePacket,
  depth: number,
  action: Action,
): Walk {
  switch (action.kind) {
    case "accept":
      return { verdict: "accept", mayAccept: false };
    case "drop":
      return { verdict: rule, mayAccept: false };
    case "return":
      return { verdict: "return", mayAccept: false };
    default: {
      if (depth >= DEEPEST) return { verdict: undefined, mayAccept: true };
      const { verdict, mayAccept } = walkChain(rules, { ...place, chain: action.target }, packet, depth + 1);
      const ended = verdict === "return" ? undefined : verdict;
      // A goto does not come back: what its chain leaves open, the chain before leaves open.
      return { verdict: action.kind === "goto" ? (ended ?? "return") : ended, mayAccept };
    }
  }
}
