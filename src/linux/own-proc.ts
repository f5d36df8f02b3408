/**
 * A procfs of podtap's own, mounted nowhere: reached through its descriptor.
 *
 * Theory of operation. A procfs keeps one cached entry `net/ipv4` for every network namespace that was looked at, all
 * under the same name, and looks through them one by one (fs/proc/proc_sysctl.c, proc_sys_compare): with a thousand
 * pods the first look at a setting of the next takes milliseconds in /proc. Caches belong to an instance, so podtap
 * takes a fresh one every so often and lets the former go.
 *
 * Where the kernel is older than 5.8 or says no, /proc itself serves.
 */
import { closeSync } from "node:fs";
import koffi from "koffi";

/** Newer calls have one number on all architectures. */
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
/** Some thirty pods' worth. */
const LOOKS_MAX = 400;

const libc = koffi.load("libc.so.6");
const fsopen = libc.func("syscall", "long", ["long", "const char *", "unsigned int"]) as (
  number: number,
  type: string,
  flags: number,
) => number;
const fsconfig = libc.func("syscall", "long", ["long", "int", "unsigned int", "void *", "void *", "int"]) as (
  number: number,
  fd: number,
  command: number,
  key: null,
  value: null,
  aux: number,
) => number;
const fsmount = libc.func("syscall", "long", ["long", "int", "unsigned int", "unsigned int"]) as (
  number: number,
  fd: number,
  flags: number,
  attributes: number,
) => number;

let descriptor: number | undefined;
let looks = LOOKS_MAX;

/** The folder to look in, for the next look only. */
export function ownProc(): string {
  looks += 1;
  if (looks > LOOKS_MAX) renew();
  return descriptor === undefined ? "/proc" : `/proc/self/fd/${descriptor}`;
}

function renew(): void {
  const former = descriptor;
  // Not now: taking an instance apart takes its time.
  if (former !== undefined) setImmediate(() => closeSync(former));
  descriptor = mountProc();
  looks = 0;
}

function mountProc(): number | undefined {
  const context = fsopen(SYS_FSOPEN, "proc", FSOPEN_CLOEXEC);
  if (context < 0) return undefined;
  try {
    if (fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0) < 0) return undefined;
    const mounted = fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0);
    return mounted < 0 ? undefined : mounted;
  } finally {
    closeSync(context);
  }
}
