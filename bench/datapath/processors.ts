/** Where processes run. A child begins where the thread that made it may run, so this process is moved with them. */
import { execFileSync } from "node:child_process";

/** Guests and the rest all on one processor; or guests on one and the rest on the others. */
export type Placement = "anywhere" | "together" | "apart";

export interface Processes {
  readonly guests: Iterable<number>;
  /** Those who answer; this process counts among them. */
  readonly stations: Iterable<number>;
}

/** For the length of `run`; afterwards they may run where this process might before. */
export async function placed<T>(
  placement: Placement,
  { guests, stations }: Processes,
  run: () => Promise<T>,
): Promise<T> {
  if (placement === "anywhere") return await run();
  const mine = [process.pid, ...stations];
  const before = allowed();
  const list = numbers(before);
  // Not the first: it has the most interrupts.
  const last = String(list.at(-1) ?? 0);
  const others = list.length > 1 ? list.slice(0, -1).join(",") : last;
  for (const pid of guests) move(pid, last);
  for (const pid of mine) move(pid, placement === "together" ? last : others);
  try {
    return await run();
  } finally {
    for (const pid of [...mine, ...guests]) move(pid, before);
  }
}

/** `0-2,6` in words of taskset's. */
export function numbers(list: string): readonly number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** With all threads. One that has ended needs no place; who misses it says so. */
function move(pid: number, processors: string): void {
  try {
    execFileSync("taskset", ["-acp", processors, String(pid)], { stdio: "ignore" });
  } catch (thrown) {
    if (pid === process.pid) throw thrown;
  }
}

function allowed(): string {
  const said = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
  return said.trim().split(" ").at(-1) ?? "0";
}
