/**
 * Does somebody else's ruleset drop our packets, and by which rule? Reads what `nft -j list ruleset` gives (schema:
 * libnftables-json(5)), in which the rules of iptables-nft, and so of Docker and ufw, stand beside native ones.
 *
 * An accept in our own table cannot save a packet: it ends only that table. So every base chain at the hook has its
 * own verdict. What cannot be judged (an xtables match, a mark, a set by name) is neither taken for a match nor for
 * none; where it may have saved the packet, the drop is told as uncertain.
 */

export interface ProbePacket {
  readonly family: "ip" | "ip6";
  readonly iifname: string;
  readonly oifname: string;
  /** Of a connection that conntrack knows; otherwise its first packet. */
  readonly established: boolean;
}

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

interface JsonRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

interface JsonChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

type Certainty = "yes" | "no" | "unknown";
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
    const { certainty, action } = readRule(rule, packet);
    if (certainty === "no" || action === undefined) continue;
    const step = actOn(rules, rule, place, packet, depth, action);
    mayAccept ||= step.mayAccept;
    if (certainty === "yes" && step.verdict !== undefined && step.verdict !== "return") {
      return { verdict: step.verdict, mayAccept };
    }
    if (certainty === "yes" && action.kind === "return") return { verdict: "return", mayAccept };
    if (certainty === "unknown" && (step.verdict === "accept" || step.mayAccept)) mayAccept = true;
  }
  return { verdict: undefined, mayAccept };
}

type Action =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "jump" | "goto"; readonly target: string };

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
    default:
      return depth >= DEEPEST
        ? { verdict: undefined, mayAccept: true }
        : walkChain(rules, { ...place, chain: action.target }, packet, depth + 1);
  }
}

/** Does the rule meet the packet, and what does it do then? Statements that only count or log do nothing. */
function readRule(
  { expr }: JsonRule,
  packet: ProbePacket,
): { readonly certainty: Certainty; readonly action: Action | undefined } {
  let certainty: Certainty = "yes";
  for (const statement of expr) {
    const [kind = "", value] = Object.entries(statement)[0] ?? [];
    const action = actionOf(kind, value);
    if (action !== undefined) return { certainty, action };
    const met = meets(kind, value, packet);
    if (met === "no") return { certainty: "no", action: undefined };
    if (met === "unknown") certainty = "unknown";
  }
  return { certainty, action: undefined };
}

function actionOf(kind: string, value: unknown): Action | undefined {
  switch (kind) {
    case "accept":
    case "return":
      return { kind };
    case "drop":
    case "reject":
      return { kind: "drop" };
    case "jump":
    case "goto":
      return { kind, target: String((value as { readonly target?: unknown }).target) };
    default:
      return undefined;
  }
}

const HARMLESS = new Set(["counter", "log", "comment", "quota", "notrack"]);

function meets(kind: string, value: unknown, packet: ProbePacket): Certainty {
  if (HARMLESS.has(kind)) return "yes";
  if (kind !== "match") return "unknown";
  const { op, left, right } = value as {
    readonly op: string;
    readonly left: unknown;
    readonly right: unknown;
  };
  const subject = subjectOf(left, packet);
  const values = valuesOf(right);
  if (subject === undefined || values === undefined) return "unknown";
  const among = subject.some((one) => values.some((pattern) => matches(one, pattern)));
  if (op === "!=") return among ? "no" : "yes";
  return op === "==" || op === "in" ? (among ? "yes" : "no") : "unknown";
}

/** What the packet has there; undefined: not known. */
function subjectOf(left: unknown, packet: ProbePacket): readonly string[] | undefined {
  const { meta, ct } = left as {
    readonly meta?: { readonly key?: string };
    readonly ct?: { readonly key?: string };
  };
  switch (meta?.key) {
    case "iifname":
    case "iif":
      return [packet.iifname];
    case "oifname":
    case "oif":
      return [packet.oifname];
    case "nfproto":
      return [packet.family === "ip" ? "ipv4" : "ipv6"];
  }
  return ct?.key === "state" ? [packet.established ? "established" : "new"] : undefined;
}

function valuesOf(right: unknown): readonly string[] | undefined {
  if (typeof right === "string") return right.startsWith("@") ? undefined : [right];
  const list = Array.isArray(right) ? right : (right as { readonly set?: unknown } | null)?.set;
  if (!Array.isArray(list) || !list.every((one) => typeof one === "string")) return undefined;
  return list;
}

function matches(name: string, pattern: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
