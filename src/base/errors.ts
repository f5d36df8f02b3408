/**
 * Broken expectations: what a caller cannot have foreseen from its input. Expected problems are values
 * (`problem.ts`). Every error says what was tried, on what, and answers two questions for a controller: may it
 * be retried, and whose fault is it.
 */
import type { Code, Problem } from "./problem.ts";

export type Retry = "soon" | "on-change" | "never";
export type Blame = "manifest" | "host" | "cluster" | "podtap";

export interface ErrorFacts {
  readonly code: Code;
  readonly message: string;
  /** The usual cause and the next command, in one sentence. */
  readonly hint?: string;
  readonly retry?: Retry;
  readonly blame?: Blame;
  readonly cause?: unknown;
}

export class PodtapError extends Error {
  readonly code: Code;
  readonly hint: string | undefined;
  readonly retry: Retry;
  readonly blame: Blame;

  constructor(facts: ErrorFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = "PodtapError";
    this.code = facts.code;
    this.hint = facts.hint;
    this.retry = facts.retry ?? "never";
    this.blame = facts.blame ?? "host";
  }
}

/** Several problems of one manifest, raised where a caller needs an exception. */
export class ManifestError extends PodtapError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const first = problems[0]?.message ?? "the manifest is not valid";
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : "";
    super({ code: "PT-MANIFEST-1", message: `${first}${more}`, blame: "manifest", retry: "on-change" });
    this.name = "ManifestError";
    this.problems = problems;
  }
}

/** A message for people from anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
