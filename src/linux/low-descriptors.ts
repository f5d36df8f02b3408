/**
 * Descriptors below 1024, kept for libnftables: it waits for the kernel's answer with select(2), whose sets end there.
 * Beyond, glibc ends the whole process ("bit out of range 0 - FD_SETSIZE"), and one built without fortification
 * writes past the set.
 *
 * Theory of operation. The kernel gives the lowest number that is free. As long as that is low, nothing is to be
 * done; where it is not, one of a few numbers that were taken early is given up right before it is needed. When the
 * library closes its descriptor, the number is taken again. Another thread may snatch a number in between; the gap is
 * some microseconds long, and a process with that many open files rare.
 */
import { closeSync, openSync } from "node:fs";
import { PodtapError } from "../base/errors.ts";

/** FD_SETSIZE, less what other threads may open meanwhile. */
const LIMIT = 1024 - 64;
const KEPT = 32;

const kept: number[] = [];

/** Runs what opens one descriptor that has to be a low one. */
export function withLowDescriptor<T>(open: () => T): T {
  keepSome();
  if (isLow()) return open();
  const low = kept.pop();
  if (low === undefined) {
    throw new PodtapError({
      code: "PT-NFT-4",
      message: `this process has so many files open that libnftables cannot have a descriptor below ${LIMIT}`,
      hint: "it is tried again when others are closed; `ls /proc/PID/fd` tells what is open",
      retry: "soon",
      blame: "host",
    });
  }
  closeSync(low);
  return open();
}

function keepSome(): void {
  while (kept.length < KEPT) {
    const fd = openSync("/dev/null", "r");
    if (fd >= LIMIT) {
      closeSync(fd);
      return;
    }
    kept.push(fd);
  }
}

function isLow(): boolean {
  const next = openSync("/dev/null", "r");
  closeSync(next);
  return next < LIMIT;
}
