/** Processes by what identifies them for good: pid with start time, or the network namespace they are in. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { PodtapError } from "../../base/errors.ts";
import { errnoOf } from "../errno.ts";

const { EACCES, ENOENT, ESRCH } = constants.errno;
const POLL_MS = 2;

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or only its zombie. */
export function startTimeOf(pid: number): string | undefined {
  const stat = unlessGone(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is a name in brackets and may contain anything.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

export function isRunning(process: { readonly pid: number; readonly startTime: string }): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/** Identity of a namespace of a process: the same number is the same namespace as long as either lives. */
export function namespaceOf(pid: number, kind: "pid" | "mnt" | "net"): number | undefined {
  return unlessGone(() => statSync(`/proc/${pid}/ns/${kind}`).ino);
}

/**
 * Every process in the named network namespace. Empty when the name is gone. The namespace that we ourselves are in
 * is refused: the caller is going to kill what it gets.
 */
export function processesInNetns(path: string): readonly number[] {
  const wanted = unlessGone(() => statSync(path));
  if (wanted === undefined) return [];
  const own = statSync("/proc/self/ns/net");
  // A plain file is what a half-made namespace leaves.
  if (wanted.dev !== own.dev) return [];
  if (wanted.ino === own.ino) {
    throw new PodtapError({
      code: "PT-SANDBOX-2",
      message: `${path} is this daemon's own network namespace, not a pod's`,
      blame: "podtap",
    });
  }
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => namespaceOf(pid, "net") === wanted.ino);
}

/** Kills what the function lists until it lists nothing that runs. */
export async function killUntilGone(
  list: () => readonly number[],
  deadlineMs: number,
  what: string,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const left = list().filter((pid) => startTimeOf(pid) !== undefined);
    if (left.length === 0) return;
    for (const pid of left) kill(pid);
    if (performance.now() > end) {
      throw new PodtapError({
        code: "PT-SANDBOX-3",
        message: `${what}: processes ${left.join(", ")} do not die`,
        hint: "a process in state D waits for a device or file system; see `ps -o pid,stat,wchan,args`",
        retry: "soon",
      });
    }
    await sleep(POLL_MS);
  }
}

export function kill(pid: number): void {
  unlessGone(() => process.kill(pid, "SIGKILL"));
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if ([ENOENT, ESRCH, EACCES].includes(errnoOf(thrown) ?? 0)) return undefined;
    throw thrown;
  }
}
