/**
 * What is to be changed in a pod's namespace and how each change is undone, on disk before the first change is made.
 * One JSON line an entry, all of a run in one write; a line cut short by a crash is the last one, and then nothing
 * of that run was begun. Steps that are listed and were not reached are undone without harm: an undo asks for what
 * was there before.
 *
 * Written without fsync: it has to outlive the process, not the machine, for a reboot takes the namespaces along.
 */
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import type { ObservedNftTable } from "../plan/observed.ts";
import type { Step } from "../plan/step.ts";

/** The ruleset as it stood after a run that was not cut short. */
export interface AppliedRules {
  /** `Kernel.readNftGeneration`. */
  readonly generation: number;
  /** Our tables as the kernel listed them at that generation; absent until somebody listed them. */
  readonly tables?: readonly ObservedNftTable[];
}

export interface JournalEntry {
  readonly step: Step;
  readonly undo: readonly Step[];
}

type Line = JournalEntry | { readonly done: AppliedRules };

export interface Journal {
  /** Nothing was ever begun. */
  readonly blank: boolean;
  /** undefined when no run was completed, or the last one was cut short. */
  readonly applied: AppliedRules | undefined;
  /** Undo steps of everything ever done: the last done first, those of one step in their order. */
  readonly undo: readonly Step[];
  begin(entries: readonly JournalEntry[]): void;
  done(rules: AppliedRules): void;
  remove(): void;
}

/** @param path in a folder that is there */
export function openJournal(path: string): Journal {
  const lines = readLines(path);
  const last = lines.at(-1);
  const append = (...more: readonly Line[]): void => {
    const text = more.map((line) => `${JSON.stringify(line)}\n`).join("");
    if (text !== "") appendFileSync(path, text, { mode: 0o600 });
  };
  return {
    blank: lines.length === 0,
    applied: last !== undefined && "done" in last ? last.done : undefined,
    undo: lines.toReversed().flatMap((line) => ("undo" in line ? line.undo : [])),
    begin: (entries) => append(...entries),
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
