/**
 * Windows: the calling thread visits other namespaces for the length of a synchronous function, and what it spawns
 * there stays there.
 *
 * Theory of operation. Namespaces belong to threads, and fork(2) copies those of the thread that calls it. So a
 * process is put into a sandbox by visiting it and spawning: one fork, one exec, its pid known to the host at once,
 * and no helper that would have to be waited for. The network part is `inNetns`'s; here are mount, UTS, IPC and
 * PID namespaces. For the latter the thread itself never moves, only its future children do.
 *
 * - A visit begins with a root and working directory of the thread's own (unshare(2), CLONE_FS): a thread that shares
 *   them with others can enter no mount namespace, nor leave one (setns(2), EINVAL). The working directory is put
 *   back after each.
 * - The thread must not make threads inside: with foreign children pthread_create fails, and a thread would stay.
 *   Importing netns.ts has warmed the pool.
 * - If the daemon dies inside, a half-made mount namespace has no process and is gone with it.
 * - A thread that cannot come back ends the process, as in netns.ts.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { inKernelWords } from "../errno.ts";
import { abortProcess, CLONE_NEWNS, setns, unshare } from "../libc.ts";
import { inNetns } from "../netns.ts";
import {
  CLONE_FS,
  CLONE_NEWIPC,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  changeDirectory,
  closeOnExec,
} from "./mount-calls.ts";

const KINDS = [
  { type: CLONE_NEWUTS, file: "uts", children: "uts" },
  { type: CLONE_NEWIPC, file: "ipc", children: "ipc" },
  { type: CLONE_NEWPID, file: "pid", children: "pid_for_children" },
  // Last: it takes /proc away.
  { type: CLONE_NEWNS, file: "mnt", children: "mnt" },
] as const;
const ALL = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS;

/** In new namespaces, and in the pod's network. The first process spawned inside is pid 1. */
export function inNewNamespaces<T>(netnsPath: string, run: () => T): T {
  return inNetns(netnsPath, () =>
    visit(() => {
      unshare(ALL, "the sandbox");
      return run();
    }),
  );
}

/** In the namespaces of a process that lives in a sandbox. */
export function inNamespacesOf<T>(pid: number, run: () => T): T {
  const open = (file: string) =>
    inKernelWords("enter the sandbox of process", String(pid), () =>
      openSync(`/proc/${pid}/ns/${file}`, constants.O_RDONLY),
    );
  const opened: { fd: number; type: number }[] = [];
  const net = open("net");
  try {
    for (const { type, file } of KINDS) opened.push({ fd: open(file), type });
    return inNetns(net, () =>
      visit(() => {
        for (const { fd, type } of opened) setns(fd, type, `the sandbox of process ${pid}`);
        return run();
      }),
    );
  } finally {
    for (const { fd } of opened) closeSync(fd);
    closeSync(net);
  }
}

function visit<T>(run: () => T): T {
  closeOnExec();
  unshare(CLONE_FS, "root and working directory");
  const home: { fd: number; type: number }[] = [];
  const directory = openSync(".", constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const { type, children } of KINDS) {
      home.push({ fd: openSync(`/proc/thread-self/ns/${children}`, constants.O_RDONLY), type });
    }
    try {
      return run();
    } finally {
      comeBack(home, directory);
    }
  } finally {
    for (const { fd } of home) closeSync(fd);
    closeSync(directory);
  }
}

function comeBack(home: readonly { fd: number; type: number }[], directory: number): void {
  try {
    for (const { fd, type } of home) setns(fd, type, "its own");
    changeDirectory(directory);
  } catch (thrown) {
    writeSync(2, `podtap: a thread cannot leave a sandbox: ${messageOf(thrown)}\n`);
    abortProcess();
  }
}
