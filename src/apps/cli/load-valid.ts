/** Manifests for a command that acts on them: read, validated as a whole, refused with every problem at once. */
import { formatProblems } from "../../api/format-problems.ts";
import type { KubeObject } from "../../api/object.ts";
import { validateManifests } from "../../api/validate.ts";
import { ManifestError } from "../../base/errors.ts";
import { isError } from "../../base/problem.ts";
import type { Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { networkProblems } from "./network-problems.ts";
import { inNamespace } from "./objects.ts";
import { readManifests } from "./read-manifests.ts";
import { SETTINGS } from "./settings.ts";

export interface LoadOptions {
  /** For what attaches networks: bindings judge what NADs of the same files make. */
  readonly networks?: boolean;
  /** Errors only: what is taken away need not be put right. */
  readonly silent?: boolean;
  /** Takes the texts of the warnings that were told. */
  told?(warnings: readonly string[]): void;
}

export async function loadValid(
  { terminal }: Context,
  sources: readonly string[],
  namespace: string,
  { networks = false, silent = false, told }: LoadOptions = {},
): Promise<readonly KubeObject[]> {
  const files = await readManifests(sources);
  const { objects, problems: own } = validateManifests(files, SETTINGS);
  const judged = networks && !own.some(isError);
  const problems = judged ? [...own, ...(await networkProblems(objects, namespace))] : own;
  const errors = problems.filter(isError);
  terminal.note(formatProblems(silent ? errors : problems, { color: terminal.colours }));
  told?.(problems.map(({ message }) => message));
  if (errors.length > 0) throw new ManifestError(errors);
  if (objects.length === 0) {
    throw usageError(`nothing to act on in ${files.map(({ name }) => name).join(", ")}`);
  }
  return objects.map(({ object }) => inNamespace(object, namespace));
}
