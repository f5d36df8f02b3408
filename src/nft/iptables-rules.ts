/**
 * iptables' filter table as `iptables -S` prints it, in the form in which nft lists a ruleset. For two cases: of many
 * matches nft lists the name without the parameters, and of the tables of iptables-legacy it lists nothing.
 *
 * A condition that is not read here stays one that cannot be judged.
 */
import type { JsonChain } from "./foreign-verdict.ts";

interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** Its number in the chain, as iptables counts. */
  readonly handle: number;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

export type ListedEntry = { readonly chain: JsonChain } | { readonly rule: Rule };

/** @param table the name it is to have in the listing */
export function listIptables(text: string, family: "ip" | "ip6", table: string): readonly ListedEntry[] {
  const numbers = new Map<string, number>();
  return text.split("\n").flatMap((line): readonly ListedEntry[] => {
    const [command, name = "", ...words] = wordsOf(line);
    switch (command) {
      case "-P":
        return [{ chain: { family, table, name, ...baseOf(name, words[0]) } }];
      case "-N":
        return [{ chain: { family, table, name } }];
      case "-A": {
        const handle = (numbers.get(name) ?? 0) + 1;
        numbers.set(name, handle);
        return [{ rule: { family, table, chain: name, handle, expr: statementsOf(words) } }];
      }
      default:
        return [];
    }
  });
}

function baseOf(name: string, policy = "ACCEPT"): Partial<JsonChain> {
  return { type: "filter", hook: name.toLowerCase(), policy: policy.toLowerCase() };
}

/** Comments may be quoted; a quote inside is escaped. */
function wordsOf(line: string): readonly string[] {
  return line.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? [];
}

const TARGETS: Readonly<Record<string, object>> = {
  ACCEPT: { accept: null },
  DROP: { drop: null },
  REJECT: { reject: null },
  RETURN: { return: null },
};
const UNREAD = { xt: { type: "match", name: "unread" } };

function statementsOf(words: readonly string[]): Rule["expr"] {
  const statements: Record<string, unknown>[] = [];
  for (let i = 0; i < words.length; ) {
    const inverted = words[i] === "!";
    if (inverted) i += 1;
    const [option = "", value = ""] = words.slice(i);
    const target = targetOf(option, value);
    // The target's own options follow it, of no weight here.
    if (target !== undefined) return [...statements, target];
    const { taken, statement } = conditionOf(option, value, inverted ? "!=" : "==");
    if (statement !== undefined) statements.push(statement);
    i += taken;
  }
  return statements;
}

function targetOf(option: string, value: string): Record<string, unknown> | undefined {
  if (option === "-g") return { goto: { target: value } };
  if (option !== "-j") return undefined;
  // To an extension that goes on, as LOG does, it is a jump to a chain without rules.
  return { ...(TARGETS[value] ?? { jump: { target: value } }) };
}

function conditionOf(
  option: string,
  value: string,
  op: string,
): { readonly taken: number; readonly statement?: Record<string, unknown> } {
  const match = (left: object, right: unknown): { taken: number; statement: Record<string, unknown> } => ({
    taken: 2,
    statement: { match: { op, left, right } },
  });
  switch (option) {
    case "-i":
      return match({ meta: { key: "iifname" } }, value.replace(/\+$/, "*"));
    case "-o":
      return match({ meta: { key: "oifname" } }, value.replace(/\+$/, "*"));
    case "-p":
      return match({ meta: { key: "l4proto" } }, value);
    case "--ctstate":
    case "--state":
      return match({ ct: { key: "state" } }, value.toLowerCase().split(","));
    // Names of extensions, whose options follow, and a comment.
    case "-m":
    case "--comment":
      return { taken: 2 };
    default:
      return { taken: 1, statement: UNREAD };
  }
}
