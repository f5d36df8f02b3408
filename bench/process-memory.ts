/** Memory of processes as the kernel counts it: RSS counts shared pages in full for everyone, PSS by shares. */
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { round } from "./statistics.ts";

export interface ProcessMemory {
  readonly pid: number;
  /** `qemu-system-x86`, or the script of a Node process: `launcher.js`. */
  readonly name: string;
  readonly rssMiB: number;
  readonly pssMiB: number;
}

/** A process and everything below it; what ends while it is looked at is left out. */
export function memoryBelow(root: number): readonly ProcessMemory[] {
  const parents = new Map(pids().flatMap((pid) => entryOf(pid, parentOf)));
  const isBelow = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) {
      if (at === root) return true;
    }
    return false;
  };
  return [...parents.keys()]
    .filter(isBelow)
    .flatMap((pid) => entryOf(pid, memoryOf).map(([, found]) => found));
}

function memoryOf(pid: number): ProcessMemory {
  const figures = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const mib = (key: string): number =>
    round(Number(new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(figures)?.[1]) / 1024);
  return { pid, name: nameOf(pid), rssMiB: mib("Rss"), pssMiB: mib("Pss") };
}

function nameOf(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  const program = basename(words[0] ?? "");
  return program === "node" ? basename(words.find((word) => word.endsWith(".js")) ?? program) : program;
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function pids(): readonly number[] {
  return readdirSync("/proc").flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []));
}

function entryOf<T>(pid: number, read: (pid: number) => T): readonly (readonly [number, T])[] {
  try {
    return [[pid, read(pid)]];
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return [];
    throw thrown;
  }
}
