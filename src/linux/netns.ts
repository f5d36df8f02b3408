/**
 * Network namespaces: entering one for the length of a function, making and deleting named ones.
 *
 * Theory of operation. A namespace belongs to a thread. `inNetns` switches the calling thread, runs a synchronous
 * function and switches back; whatever is opened inside (sockets, taps, /proc/sys files) keeps belonging to that
 * namespace afterwards. A thread that is created inside a window stays there for ever, and libuv makes its pool
 * threads on first use: therefore importing this module warms the pool. Nothing asynchronous may run inside.
 *
 * Inside a window /proc/sys/net and /proc/thread-self/net are the namespace's; /sys/class/net keeps showing what
 * was mounted. A thread that cannot come back would do everybody's work in a stranger's network: the process ends.
 *
 * A named namespace is a file with the namespace bind-mounted on it, as `ip netns` makes them. Deleting one is
 * instant here, and the kernel cleans up later with the rtnl lock held (16-23 ms each): whoever deletes many paces
 * them (`net-jobs.ts`).
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  promises,
  readdirSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, PodtapError } from "../base/errors.ts";
import { encodeLinkSettings, RTM_SETLINK } from "../wire/netlink-link.ts";
import { EINVAL, ENOENT, errnoOf, inKernelWords } from "./errno.ts";
import { abortProcess, CLONE_NEWNET, MNT_DETACH, MS_BIND, mount, setns, umount, unshare } from "./libc.ts";
import type { Change } from "./netlink-socket.ts";
import { openRtnetlink } from "./rtnetlink.ts";

const OWN_NAMESPACE = "/proc/thread-self/ns/net";
/** `f_type` of a namespace file (linux/magic.h). */
const NSFS_MAGIC = 0x6e736673;
const LO_UP: Change = {
  type: RTM_SETLINK,
  payload: encodeLinkSettings(1, { up: true }),
  operation: "bring up",
  object: "lo",
};

// The pool's threads must be older than the first window.
await promises.stat("/");

/** What the thread is in: descriptor of its own namespace, or of the innermost window. */
let current: number | undefined;

/**
 * Runs `run` with the calling thread in the namespace.
 * @param target an open descriptor, or the path of a named namespace
 */
export function inNetns<T>(target: number | string, run: () => T): T {
  // Nested windows to the same namespace cost nothing.
  if (target === current) return refusePromise(run());
  const opened = typeof target === "string" ? openNetns(target) : undefined;
  const outer = ownNamespace();
  const inner = opened ?? (target as number);
  try {
    setns(inner, CLONE_NEWNET, String(target));
    current = inner;
    try {
      return refusePromise(run());
    } finally {
      comeBack(outer);
    }
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
}

/** A descriptor of a named namespace; it keeps the namespace alive until it is closed. */
export function openNetns(path: string): number {
  return inKernelWords("open the network namespace", path, () => openSync(path, constants.O_RDONLY));
}

/** Makes a network namespace, with `lo` up, and gives it the name. */
export function createNetns(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  inKernelWords("name a network namespace", path, () => writeFileSync(path, "", { flag: "wx", mode: 0o444 }));
  try {
    const home = ownNamespace();
    unshare(CLONE_NEWNET, path);
    try {
      mount(OWN_NAMESPACE, path, null, MS_BIND);
      const link = openRtnetlink();
      try {
        link.change(LO_UP);
      } finally {
        link.close();
      }
    } finally {
      comeBack(home);
    }
  } catch (thrown) {
    deleteNetns(path);
    throw thrown;
  }
}

/** Runs `run` in a new namespace that nothing else sees, with `lo` down; it goes with what `run` opened there. */
export function inScratchNetns<T>(run: () => T): T {
  const home = ownNamespace();
  unshare(CLONE_NEWNET, "a trial");
  try {
    current = undefined;
    return refusePromise(run());
  } finally {
    comeBack(home);
  }
}

/** Takes the name away; the namespace goes when no process, socket or descriptor is left in it. */
export function deleteNetns(path: string): void {
  unlessErrno([EINVAL, ENOENT], () => umount(path, MNT_DETACH));
  unlessErrno([ENOENT], () => inKernelWords("remove", path, () => unlinkSync(path)));
}

/** Names in a folder that are network namespaces; leftovers of plain files are not listed. */
export function listNetns(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => statfsSync(join(folder, name)).type === NSFS_MAGIC)
      .toSorted();
  } catch (thrown) {
    if (errnoOf(thrown) === ENOENT) return [];
    throw thrown;
  }
}

function ownNamespace(): number {
  current ??= openSync(OWN_NAMESPACE, constants.O_RDONLY);
  return current;
}

function comeBack(outer: number): void {
  try {
    setns(outer, CLONE_NEWNET, "its own");
    current = outer;
  } catch (thrown) {
    writeSync(2, `podtap: a thread cannot leave a pod's network: ${messageOf(thrown)}\n`);
    abortProcess();
  }
}

function refusePromise<T>(result: T): T {
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
    throw new PodtapError({
      code: "PT-NETNS-1",
      message: "work inside a namespace must be synchronous: what it awaits would run outside",
      blame: "podtap",
    });
  }
  return result;
}

function unlessErrno(expected: readonly number[], run: () => void): void {
  try {
    run();
  } catch (thrown) {
    if (!expected.includes(errnoOf(thrown) ?? 0)) throw thrown;
  }
}
