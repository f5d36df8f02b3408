/** `podtap validate`: every problem of every manifest at once; no daemon, no root, nothing is touched. */

import { formatProblems } from "../../api/format-problems.ts";
import { validateManifests } from "../../api/validate.ts";
import { isError } from "../../base/problem.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";
import { networkProblems } from "./network-problems.ts";
import { readManifests } from "./read-manifests.ts";
import { SETTINGS } from "./settings.ts";

export interface ValidateOptions {
  readonly filename?: readonly string[];
  readonly strict?: boolean;
  readonly output: "text" | "json" | "yaml";
}

export async function validate(
  context: Context,
  sources: readonly string[],
  options: ValidateOptions,
): Promise<ExitCode> {
  const files = await readManifests([...sources, ...(options.filename ?? [])]);
  const { objects, problems: own } = validateManifests(files, SETTINGS);
  const problems = own.some(isError) ? own : [...own, ...(await networkProblems(objects, "default"))];
  const errors = problems.filter(isError).length;
  const warnings = problems.length - errors;
  const valid = errors === 0 && !(options.strict && warnings > 0);
  if (options.output === "text") {
    const names = files.length === 1 ? files[0]?.name : `${files.length} files`;
    const { terminal } = context;
    terminal.out(formatProblems(problems, { color: terminal.coloursOut }));
    terminal.out(`${names}: ${valid ? "valid" : "not valid"} (${plural(objects.length, "object")})\n`);
  } else {
    const report = { valid, objects: objects.length, problems };
    context.terminal.out(await inFormat(options.output, report));
  }
  return valid ? EXIT.done : EXIT.failed;
}

async function inFormat(format: "json" | "yaml", value: unknown): Promise<string> {
  return format === "json"
    ? `${JSON.stringify(value, null, 2)}\n`
    : (await import("./yaml-text.ts")).toYaml(value);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
