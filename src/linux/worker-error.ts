/** Errors across a worker's border: what structured clone would strip (class, code, hint) is carried as data. */
import { type Blame, ManifestError, PodtapError, type Retry } from "../base/errors.ts";
import type { Code, Problem } from "../base/problem.ts";

export interface WireError {
  readonly code: Code;
  readonly message: string;
  readonly hint?: string;
  readonly retry?: Retry;
  readonly blame?: Blame;
  readonly problems?: readonly Problem[];
  readonly stack?: string;
  readonly cause?: WireError;
}

export function toWireError(thrown: unknown): WireError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const common = {
    message: error.message,
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(error.cause !== undefined && { cause: toWireError(error.cause) }),
  };
  if (!(error instanceof PodtapError)) return { code: "PT-WORKER-2", blame: "podtap", ...common };
  return {
    code: error.code,
    retry: error.retry,
    blame: error.blame,
    ...(error.hint !== undefined && { hint: error.hint }),
    ...(error instanceof ManifestError && { problems: error.problems }),
    ...common,
  };
}

/** Its stack is the worker's: that is where it happened. */
export function fromWireError({ stack, cause, problems, ...facts }: WireError): PodtapError {
  const error =
    problems === undefined
      ? new PodtapError({ ...facts, ...(cause !== undefined && { cause: fromWireError(cause) }) })
      : new ManifestError(problems);
  if (stack !== undefined) error.stack = stack;
  return error;
}
