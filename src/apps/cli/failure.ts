/**
 * How a command ends badly: exit codes and the text of an error. The code follows from the error's family, so that
 * scripts can tell "your manifest" from "this machine".
 *
 *   0 done   1 it failed   2 wrong usage, or `--exit-code` found differences   3 the environment: not built, no
 *   root, the daemon does not start, a program is missing
 */
import { ManifestError, messageOf, PodtapError } from "../../base/errors.ts";
import type { Problem } from "../../base/problem.ts";
import { visibleLines } from "./output-text.ts";

export const EXIT = { done: 0, failed: 1, usage: 2, differs: 2, environment: 3, interrupted: 130 } as const;
/** Of ours; `ssh` also hands on what the remote command said. */
export type ExitCode = number;

export function exitCodeOf(thrown: unknown): ExitCode {
  if (!(thrown instanceof PodtapError)) return EXIT.failed;
  if (thrown.code.startsWith("PT-USAGE-")) return EXIT.usage;
  if (thrown.code.startsWith("PT-ENV-")) return EXIT.environment;
  return EXIT.failed;
}

export function usageError(message: string, hint?: string): PodtapError {
  return new PodtapError({ code: "PT-USAGE-1", message, ...(hint && { hint }), blame: "manifest" });
}

/** One line what, one line what to do; with `verbose` also where it came from. */
export function renderFailure(thrown: unknown, verbose: boolean): string {
  const known = thrown instanceof PodtapError;
  // KubeVirt's and kubectl's tools both begin with "error:".
  const lines = [`error: ${visibleLines(messageOf(thrown))}${known ? ` (${thrown.code})` : ""}`];
  if (known && thrown.hint !== undefined) lines.push(`hint: ${visibleLines(thrown.hint)}`);
  if (verbose || !known) lines.push(...trace(thrown));
  return `${lines.join("\n")}\n`;
}

export function failureAsJson(thrown: unknown): string {
  const known = thrown instanceof PodtapError;
  const problems: readonly Problem[] = thrown instanceof ManifestError ? thrown.problems : [];
  const error = {
    message: messageOf(thrown),
    ...(known && { code: thrown.code, retry: thrown.retry, blame: thrown.blame }),
    ...(known && thrown.hint !== undefined && { hint: thrown.hint }),
    ...(problems.length > 0 && { problems }),
  };
  return `${JSON.stringify({ error }, null, 2)}\n`;
}

function trace(thrown: unknown): readonly string[] {
  if (!(thrown instanceof Error)) return [];
  const stack = (thrown.stack ?? "").split("\n").slice(1);
  const cause = thrown.cause === undefined ? [] : [`caused by: ${messageOf(thrown.cause)}`];
  return [...stack, ...cause];
}
