/**
 * A problem before it knows its file: what rules return. `field` is KubeVirt's path, quirks included; `at` is
 * the place in the manifest, which is what the user wants to see.
 */
import type { CauseReason, Code, Problem } from "../base/problem.ts";
import { formatPath, type Path } from "./path.ts";

export interface Finding extends Omit<Problem, "at" | "object"> {
  readonly at: Path;
}

export interface FindingFacts {
  readonly code: Code;
  readonly at: Path;
  readonly message: string;
  readonly hint: string;
  /** Default FieldValueInvalid. */
  readonly reason?: CauseReason;
  /** Where KubeVirt reports another path than the true one. */
  readonly field?: string;
}

export function errorAt(facts: FindingFacts): Finding {
  return finding("error", facts);
}

export function warningAt(facts: FindingFacts): Finding {
  return finding("warning", facts);
}

function finding(severity: "error" | "warning", facts: FindingFacts): Finding {
  return {
    code: facts.code,
    severity,
    reason: facts.reason ?? "FieldValueInvalid",
    field: facts.field ?? formatPath(facts.at),
    message: facts.message,
    hint: facts.hint,
    at: facts.at,
  };
}

/** Go's `%q`: KubeVirt's messages quote names so. */
export function goQuote(text: string): string {
  const named: Readonly<Record<string, string>> = {
    "\x07": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
  };
  const escaped = text.replace(/["\\\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    const hex = code.toString(16);
    if (named[char] !== undefined) return named[char];
    if (code < 0x80) return `\\x${hex.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
  return `"${escaped}"`;
}
