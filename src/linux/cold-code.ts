/**
 * Lets go of program code that is mapped but was only needed for starting: some 20 MB of Node that every launcher
 * would hold resident for the life of its VM. What is needed again comes back from the page cache, unread.
 *
 * Only executable mappings of files: nothing ever writes there (there are no text relocations on x86-64 and arm64),
 * so MADV_DONTNEED loses nothing (madvise(2)).
 */
import { readFileSync } from "node:fs";
import koffi from "koffi";

const MADV_DONTNEED = 4;
const CODE = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ [1-9]\d* +\//;

const madvise = koffi.load("libc.so.6").func("int madvise(uintptr_t address, size_t length, int advice)") as (
  address: bigint,
  length: bigint,
  advice: number,
) => number;

export function releaseColdCode(): void {
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [, from, to] = CODE.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    const address = BigInt(`0x${from}`);
    // A kernel that declines keeps the pages; there is nothing to do about it.
    madvise(address, BigInt(`0x${to}`) - address, MADV_DONTNEED);
  }
}
