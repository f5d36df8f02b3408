/**
 * One rule of somebody else's ruleset against a packet: does it meet it, and what does it do then?
 *
 * The packet is one of a transport and a port that no rule names: a rule for TCP, for a port or for a kind of ICMP saves
 * only some of what pods send, so it does not save this one. Not known is what only the kernel sees, a mark, an address,
 * a set by name, and most matches of xtables: the listing has their names without their parameters.
 */

export interface ProbePacket {
  readonly family: "ip" | "ip6";
  readonly iifname: string;
  readonly oifname: string;
  /** Of a connection that conntrack knows; otherwise its first packet. */
  readonly established: boolean;
}

export interface JsonRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

export type Certainty = "yes" | "no" | "unknown";

export type Action =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "jump" | "goto"; readonly target: string };

/** Does the rule meet the packet, and what may it do then? Statements that only count or log do nothing. */
export function readRule(
  { expr }: JsonRule,
  packet: ProbePacket,
): { readonly certainty: Certainty; readonly actions: readonly Action[] } {
  let certainty: Certainty = "yes";
  for (const statement of expr) {
    const [kind = "", value] = Object.entries(statement)[0] ?? [];
    const action = actionOf(kind, value);
    if (action !== undefined) return { certainty, actions: [action] };
    if (kind === "vmap") {
      const chosen = chooseOf(value as VerdictMap, packet);
      if (chosen.certainty === "unknown") certainty = "unknown";
      if (chosen.actions.length > 0) return { certainty, actions: chosen.actions };
      if (chosen.certainty === "yes") return { certainty: "no", actions: [] };
      continue;
    }
    const met = meets(kind, value, packet);
    if (met === "no") return { certainty: "no", actions: [] };
    if (met === "unknown") certainty = "unknown";
  }
  return { certainty, actions: [] };
}

interface VerdictMap {
  readonly key: unknown;
  readonly data: unknown;
}

/** What a verdict map may do: the packet's own entry, or every entry where the packet's key is not known. */
function chooseOf(
  { key, data }: VerdictMap,
  packet: ProbePacket,
): { readonly certainty: Certainty; readonly actions: readonly Action[] } {
  const entries = (data as { readonly set?: unknown } | null)?.set;
  // A named map: its elements are not in the rule.
  if (!Array.isArray(entries)) return { certainty: "unknown", actions: [{ kind: "accept" }] };
  const known = (entries as readonly (readonly [unknown, Readonly<Record<string, unknown>>])[]).map(
    ([name, verdict]) => {
      const [kind = "", value] = Object.entries(verdict)[0] ?? [];
      const match = { op: "==", left: key, right: name };
      return { met: meets("match", match, packet), action: actionOf(kind, value) };
    },
  );
  const sure = known.find(({ met }) => met === "yes");
  if (sure !== undefined) return { certainty: "yes", actions: sure.action ? [sure.action] : [] };
  const possible = known.filter(({ met }) => met === "unknown").flatMap(({ action }) => action ?? []);
  return { certainty: possible.length > 0 ? "unknown" : "yes", actions: possible };
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
    case "xt": {
      const { type, name } = value as XtStatement;
      return type === "target" && name === "REJECT" ? { kind: "drop" } : undefined;
    }
    default:
      return undefined;
  }
}

/** What iptables-nft leaves to an extension of xtables; its parameters are not listed. */
interface XtStatement {
  readonly type?: string;
  readonly name?: string;
}

const HARMLESS = new Set(["counter", "log", "comment", "quota", "notrack"]);
/** xtables' matches of one transport or of some of its ports. */
const XT_OF_TRANSPORT = new Set(["tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmp6", "multiport"]);
const TRANSPORTS = new Set(["tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "th", "ah", "esp"]);

function meets(kind: string, value: unknown, packet: ProbePacket): Certainty {
  if (HARMLESS.has(kind)) return "yes";
  if (kind === "xt") return meetsXt(value as XtStatement);
  if (kind !== "match") return "unknown";
  const { op, left, right } = value as {
    readonly op: string;
    readonly left: unknown;
    readonly right: unknown;
  };
  if (isOfOthers(left, packet)) return "no";
  const subject = subjectOf(left, packet);
  if (subject === undefined) return "unknown";
  const among = isAmong(subject, right);
  if (among === undefined) return "unknown";
  if (op === "!=") return among ? "no" : "yes";
  return op === "==" || op === "in" ? (among ? "yes" : "no") : "unknown";
}

function meetsXt({ type, name = "" }: XtStatement): Certainty {
  if (type === "match" && name === "comment") return "yes";
  return type === "match" && XT_OF_TRANSPORT.has(name) ? "no" : "unknown";
}

interface Left {
  readonly meta?: { readonly key?: string };
  readonly ct?: { readonly key?: string };
  readonly payload?: { readonly protocol?: string; readonly field?: string };
}

/** A field that the packet does not have: another transport's, or the other IP version's. */
function isOfOthers(left: unknown, { family }: ProbePacket): boolean {
  const protocol = (left as Left).payload?.protocol ?? "";
  return TRANSPORTS.has(protocol) || protocol === (family === "ip" ? "ip6" : "ip");
}

/** What the packet has there, empty: what no rule names; undefined: not known. */
function subjectOf(left: unknown, packet: ProbePacket): readonly string[] | undefined {
  const { meta, ct, payload } = left as Left;
  switch (meta?.key) {
    case "iifname":
    case "iif":
      return [packet.iifname];
    case "oifname":
    case "oif":
      return [packet.oifname];
    case "nfproto":
      return [packet.family === "ip" ? "ipv4" : "ipv6"];
    case "protocol":
      return [packet.family];
    case "l4proto":
      return [];
  }
  if (payload?.field === "protocol" || payload?.field === "nexthdr") return [];
  if (ct?.key === "state") return [packet.established ? "established" : "new"];
  // No destination of it was translated: Services are, and they are not beyond the host.
  if (ct?.key === "status") return packet.established ? ["seen-reply", "assured", "confirmed"] : [];
  return undefined;
}

function isAmong(subject: readonly string[], right: unknown): boolean | undefined {
  if (subject.length === 0) return false;
  const values = valuesOf(right);
  return values && subject.some((one) => values.some((pattern) => matches(one, pattern)));
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
