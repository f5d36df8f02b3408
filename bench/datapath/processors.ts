/** Where processes run. A child begins where the thread that made it may run, so this process is moved with them. */
import { execFileSync } from "node:child_process";

/** For the length of `run`; afterwards they may run where this process might before. */
export async function onOneProcessor<T>(pids: Iterable<number>, run: () => Promise<T>): Promise<T> {
  const before = allowed();
  // Not the first: it has the most interrupts.
  const last = /(\d+)$/.exec(before)?.[1] ?? "0";
  const all = [process.pid, ...pids];
  for (const pid of all) move(pid, last);
  try {
    return await run();
  } finally {
    for (const pid of all) move(pid, before);
  }
}

/** With all threads. */
function move(pid: number, processors: string): void {
  execFileSync("taskset", ["-acp", processors, String(pid)]);
}

/** As taskset lists them: `0-3,6`. */
function allowed(): string {
  const said = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
  return said.trim().split(" ").at(-1) ?? "0";
}
