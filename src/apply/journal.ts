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

type Line =
  | { readonly step: Step; readonly undo: readonly Step[] }
  /** Everything up to here was carried out; the digests of our nft tables at that moment. */
  | { readonly done: readonly ObservedNftTable[] };

export interface Journal {
  /** Digests after the last complete run; empty when a run was cut short. */
  readonly applied: readonly ObservedNftTable[];
  /** A run was cut short: its last step may or may not have happened. */
  readonly interrupted: boolean;
  /** Undo steps of everything ever done, last first. */
  readonly undo: readonly Step[];
  begin(step: Step, undo: readonly Step[]): void;
  done(tables: readonly ObservedNftTable[]): void;
  remove(): void;
}

export function openJournal(path: string): Journal {
  const lines = readLines(path);
  const last = lines.at(-1);
  const append = (line: Line): void => appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  mkdirSync(dirname(path), { recursive: true });
  return {
    applied: last !== undefined && "done" in last ? last.done : [],
    interrupted: last !== undefined && !("done" in last),
    undo: lines.flatMap((line) => ("undo" in line ? line.undo : [])).toReversed(),
    begin: (step, undo) => append({ step, undo }),
    done: (tables) => append({ done: tables }),
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
