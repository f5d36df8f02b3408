/**
 * What was changed in a pod's namespace and how each change is undone, on disk before the change is made. One
 * JSON line an entry; a line cut short by a crash is the last one and belongs to a step that was not run.
 *
 * Written without fsync: it has to outlive the process, not the machine, for a reboot takes the namespaces along.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { ObservedNftTable } from "../plan/observed.ts";
import type { Step } from "../plan/step.ts";

/** The ruleset as it stood after a run that was not cut short. */
export interface AppliedRules {
  /** `Kernel.readNftGeneration`. */
  readonly generation: number;
  /** Our tables as the kernel listed them at that generation; absent until somebody listed them. */
  readonly tables?: readonly ObservedNftTable[];
}

type Line = { readonly step: Step; readonly undo: readonly Step[] } | { readonly done: AppliedRules };

export interface Journal {
  /** Nothing was ever begun. */
  readonly blank: boolean;
  /** undefined when no run was completed, or the last one was cut short. */
  readonly applied: AppliedRules | undefined;
  /** Undo steps of everything ever done, last first. */
  readonly undo: readonly Step[];
  begin(step: Step, undo: readonly Step[]): void;
  done(rules: AppliedRules): void;
  remove(): void;
}

export function openJournal(path: string): Journal {
  const lines = readLines(path);
  const last = lines.at(-1);
  let folderMade = lines.length > 0;
  const append = (line: Line): void => {
    if (!folderMade) mkdirSync(dirname(path), { recursive: true });
    folderMade = true;
    appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  };
  return {
    blank: lines.length === 0,
    applied: last !== undefined && "done" in last ? last.done : undefined,
    undo: lines.flatMap((line) => ("undo" in line ? line.undo : [])).toReversed(),
    begin: (step, undo) => append({ step, undo }),
    done: (rules) => append({ done: rules }),
    remove: () => rmSync(path, { force: true }),
  };
}

function readLines(path: string): readonly Line[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  return complete
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
