/**
 * The sandbox a VM lives in: a pid 1 that does nothing but reap, in PID, mount, UTS and IPC namespaces of its own
 * and in the pod's network, and a control group. Whatever else runs there is spawned by `spawnInSandbox`, without
 * any capability.
 *
 * Theory of operation. The sandbox is pid 1: when it dies the kernel kills the rest and drops the mounts. Nothing
 * on disk belongs to it. So a daemon killed at any moment leaves at most a control group and processes in the
 * pod's network namespace, and `destroySandbox` finds those by the pod's id and namespace, with a record or
 * without. All processes are session leaders of their own and do not die with the daemon.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { PodtapError } from "../../base/errors.ts";
import { inKernelWords } from "../errno.ts";
import { cgroupOf, cgroupProcesses, joinCgroup, listCgroups, makeCgroup, removeCgroup } from "./cgroups.ts";
import { setHostname } from "./mount-calls.ts";
import { isRunning, kill, killUntilGone, namespaceOf, processesInNetns, startTimeOf } from "./processes.ts";
import { enterRootFs, mountProc } from "./root-fs.ts";
import type { SandboxExit, SandboxProcess, SandboxRecord, SandboxSpec, SpawnSpec } from "./types.ts";
import { inNamespacesOf, inNewNamespaces } from "./window.ts";

const POD_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/;
const KILL_DEADLINE_MS = 10_000;
const NOBODY = 65_534;
/** Adopts and reaps what the sandbox's processes leave, nothing else. */
const REAPER = ["/usr/bin/catatonit", "-P"] as const;
const SETPRIV = "/usr/bin/setpriv";
/**
 * Waits until its pid is in the pod's control group. Read fails when the daemon dies before, and nothing runs.
 * Fixed text; the program is in the arguments.
 */
const GATE = ["/bin/sh", "-c", 'IFS= read -r go && exec "$@" </dev/null', "gate"] as const;

/**
 * The network namespace must exist; its interfaces need not. Synchronous work of some milliseconds. What an earlier,
 * killed start left of this pod is killed: adopt first what is to live on.
 */
export function createSandbox(spec: SandboxSpec): SandboxRecord {
  checkSpec(spec);
  // Not by namespace: a CNI plugin may be at work in it.
  for (const pid of cgroupProcesses(spec.podId)) kill(pid);
  const cgroup = makeCgroup(spec.podId, spec.limits);
  const pid1 = inNewNamespaces(spec.netnsPath, () => {
    setHostname(spec.hostname);
    enterRootFs(spec);
    const pid1 = startedPid(
      spawn(SETPRIV, [...privileges(NOBODY, NOBODY), ...REAPER], {
        cwd: "/",
        env: {},
        stdio: "ignore",
        detached: true,
      }),
      REAPER[0],
    );
    try {
      mountProc();
    } catch (thrown) {
      kill(pid1);
      throw thrown;
    }
    return pid1;
  });
  joinCgroup(cgroup, pid1);
  return {
    podId: spec.podId,
    netnsPath: spec.netnsPath,
    pid1,
    startTime: startTimeOf(pid1) ?? sandboxGone(spec.podId),
    namespaces: {
      // pid_for_children is its own: it was the first of that namespace.
      pid: namespaceOf(pid1, "pid") ?? sandboxGone(spec.podId),
      mnt: namespaceOf(pid1, "mnt") ?? sandboxGone(spec.podId),
      net: namespaceOf(pid1, "net") ?? sandboxGone(spec.podId),
    },
    missingLimits: cgroup.missingLimits,
  };
}

/** Starts a program inside. It outlives the caller; `exit` is told only to the one who spawned it. */
export function spawnInSandbox(sandbox: SandboxRecord, wanted: SpawnSpec): SandboxProcess {
  if (adoptSandbox(sandbox) === undefined) sandboxGone(sandbox.podId);
  const log = openLog(wanted.logFile);
  try {
    const child = inNamespacesOf(sandbox.pid1, () =>
      spawn(GATE[0], [...GATE.slice(1), SETPRIV, ...privileges(wanted.uid, wanted.gid), ...wanted.argv], {
        cwd: wanted.cwd ?? "/",
        env: wanted.env,
        stdio: ["pipe", log, log, ...wanted.fds],
        detached: true,
      }),
    );
    const exit = exitOf(child);
    const pid = startedPid(child, wanted.argv[0]);
    const startTime = startTimeOf(pid) ?? sandboxGone(sandbox.podId);
    joinCgroup(cgroupOf(sandbox.podId), pid);
    // EPIPE when it was killed meanwhile: its exit tells.
    child.stdin?.on("error", () => undefined).end("go\n");
    return { pid, startTime, exit };
  } finally {
    closeSync(log);
  }
}

/** The record if it still describes a living sandbox: same process, same namespaces. */
export function adoptSandbox(record: SandboxRecord): SandboxRecord | undefined {
  const { pid1, startTime, namespaces } = record;
  if (!isRunning({ pid: pid1, startTime })) return undefined;
  const same = (["pid", "mnt", "net"] as const).every((kind) => namespaceOf(pid1, kind) === namespaces[kind]);
  return same ? record : undefined;
}

/**
 * Kills pid 1, and with it everything inside, waits until all are gone and removes the control group. Works with
 * the pod's id and namespace alone, for what a killed daemon left. What is gone already is no error.
 */
export async function destroySandbox(
  sandbox: Pick<SandboxRecord, "podId" | "netnsPath"> & Partial<SandboxRecord>,
): Promise<void> {
  if (!POD_ID.test(sandbox.podId)) throw new RangeError(`not a pod id: ${JSON.stringify(sandbox.podId)}`);
  const { pid1, startTime } = sandbox;
  const first = () =>
    pid1 !== undefined && startTime !== undefined && isRunning({ pid: pid1, startTime }) ? [pid1] : [];
  const what = `cannot end pod ${sandbox.podId}`;
  await killUntilGone(first, KILL_DEADLINE_MS, what);
  await killUntilGone(
    () => [...cgroupProcesses(sandbox.podId), ...processesInNetns(sandbox.netnsPath)],
    KILL_DEADLINE_MS,
    what,
  );
  await removeWhenEmpty(sandbox.podId);
}

/** Pods of which something is left, by their control groups. */
export function listSandboxes(): readonly string[] {
  return listCgroups();
}

/** A zombie still counts as a member of its group until its parent has looked at it. */
async function removeWhenEmpty(podId: string): Promise<void> {
  for (let tries = 0; !removeCgroup(podId); tries++) {
    if (tries === 500) {
      throw new PodtapError({
        code: "PT-SANDBOX-4",
        message: `the control group podtap/${podId} is not empty`,
        hint: `processes: ${cgroupProcesses(podId).join(", ") || "none listed"}; does the host's pid 1 reap orphans?`,
        retry: "soon",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function privileges(uid: number, gid: number): readonly string[] {
  return [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
  ];
}

function checkSpec(spec: SandboxSpec): void {
  const wrong = [
    !POD_ID.test(spec.podId) && `pod id ${JSON.stringify(spec.podId)}`,
    !HOSTNAME.test(spec.hostname) && `host name ${JSON.stringify(spec.hostname)}`,
    !existsSync(REAPER[0]) && `${REAPER[0]} is not installed`,
    !existsSync(SETPRIV) && `${SETPRIV} is not installed`,
    ...[...spec.dirs, ...spec.readOnlyDirs].map(
      (path) => !isPlainPath(path) && `path ${JSON.stringify(path)}`,
    ),
  ].filter((text) => text !== false);
  if (wrong.length === 0) return;
  throw new PodtapError({
    code: "PT-SANDBOX-5",
    message: `cannot make a sandbox: ${wrong.join("; ")}`,
    hint: "podtap needs the packages catatonit and util-linux",
  });
}

/** Absolute, and every part is a name: nothing is mounted where the spec does not say. */
function isPlainPath(path: string): boolean {
  const [first, ...names] = path.split("/");
  return first === "" && names.length > 0 && names.every((name) => !["", ".", ".."].includes(name));
}

function openLog(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  // The folder may be the pod's: it must not be able to point us elsewhere, or to a FIFO that blocks.
  const fd = inKernelWords("open the log", path, () =>
    openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640),
  );
  if (statSync(`/proc/self/fd/${fd}`).isFile()) return fd;
  closeSync(fd);
  throw new PodtapError({ code: "PT-SANDBOX-6", message: `the log ${path} is not a file` });
}

function startedPid(child: ChildProcess, program: string): number {
  // Node also emits the error; unheard it would end the daemon.
  child.on("error", () => undefined);
  child.unref();
  if (child.pid !== undefined) return child.pid;
  throw new PodtapError({
    code: "PT-SANDBOX-7",
    message: `cannot start ${program} in the sandbox: no process was made`,
    hint: "is the host out of memory or process ids?",
    retry: "soon",
  });
}

function exitOf(child: ChildProcess): Promise<SandboxExit> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: null, signal: null }));
  });
}

export function sandboxGone(podId: string): never {
  throw new PodtapError({
    code: "PT-SANDBOX-8",
    message: `the sandbox of pod ${podId} is gone`,
    hint: "its pid 1 was killed, or the host ran out of memory; the pod has to be made anew",
    retry: "on-change",
  });
}
