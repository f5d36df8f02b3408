/**
 * Closes a process to others of its own uid: no ptrace, no /proc/PID/mem, no pidfd_getfd (prctl(2),
 * PR_SET_DUMPABLE). A launcher shares its uid with QEMU, and holds packet sockets that a QEMU taken over by its
 * guest must not get.
 */
import koffi from "koffi";
import { KernelError } from "./errno.ts";

const PR_SET_DUMPABLE = 4;

const prctl = koffi.load("libc.so.6").func("prctl", "int", ["int", "unsigned long"]) as (
  option: number,
  value: number,
) => number;

export function makeUndumpable(): void {
  if (prctl(PR_SET_DUMPABLE, 0) === 0) return;
  throw new KernelError({
    errno: koffi.errno(),
    operation: "close to other processes",
    object: "this process",
  });
}
