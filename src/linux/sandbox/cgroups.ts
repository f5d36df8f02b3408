/**
 * A control group for each pod: `podtap/<pod id>` in the unified hierarchy, or in v1's memory, cpu and pids
 * hierarchies where those carry the controllers (hybrid hosts too). Limits that the host cannot take are told, not
 * hidden. Idempotent; a group is found again by its name.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { errnoOf, inKernelWords } from "../errno.ts";
import type { SandboxLimits } from "./types.ts";

const PARENT = "podtap";
const CONTROLLERS = ["memory", "cpu", "pids"] as const;
type Controller = (typeof CONTROLLERS)[number];
const CPU_PERIOD_US = 100_000;
const { EBUSY, EEXIST, EINVAL, ENOENT, ENOTEMPTY, ESRCH } = constants.errno;

export interface Hierarchies {
  /** Mount point of the unified hierarchy, when it has our controllers. */
  readonly unified?: string;
  /** v1: mount point by controller. */
  readonly v1: Partial<Record<Controller, string>>;
}

/** Reads /proc/self/mountinfo text; `controllersOf` gives a cgroup2 mount's `cgroup.controllers`. */
export function parseHierarchies(mountinfo: string, controllersOf: (mount: string) => string): Hierarchies {
  const v1: Partial<Record<Controller, string>> = {};
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    // 36 35 98:0 /root /mount/point options … - type source super-options (proc_pid_mountinfo(5))
    const [before, after] = line.split(" - ");
    const mount = before?.split(" ")[4];
    const [type, , options] = after?.split(" ") ?? [];
    if (mount === undefined) continue;
    if (type === "cgroup2" && controllersOf(mount).split(/\s+/).includes("memory")) unified ??= mount;
    if (type !== "cgroup") continue;
    for (const controller of CONTROLLERS) {
      if (options?.split(",").includes(controller)) v1[controller] ??= mount;
    }
  }
  return unified === undefined ? { v1 } : { unified, v1: {} };
}

export function readHierarchies(): Hierarchies {
  return parseHierarchies(readFileSync("/proc/self/mountinfo", "utf8"), (mount) =>
    readIfThere(join(mount, "cgroup.controllers")),
  );
}

/** Files and values that express the limits, by controller. */
export function limitFiles(limits: SandboxLimits, version: 1 | 2): readonly [Controller, string, string][] {
  const quota = limits.cpuMillis === undefined ? undefined : (limits.cpuMillis * CPU_PERIOD_US) / 1000;
  const files: [Controller, string, string][] = [];
  if (limits.memoryBytes !== undefined) {
    files.push([
      "memory",
      version === 2 ? "memory.max" : "memory.limit_in_bytes",
      String(limits.memoryBytes),
    ]);
  }
  if (quota !== undefined && version === 2) files.push(["cpu", "cpu.max", `${quota} ${CPU_PERIOD_US}`]);
  if (quota !== undefined && version === 1) {
    files.push(
      ["cpu", "cpu.cfs_period_us", String(CPU_PERIOD_US)],
      ["cpu", "cpu.cfs_quota_us", String(quota)],
    );
  }
  if (limits.pids !== undefined) files.push(["pids", "pids.max", String(limits.pids)]);
  return files;
}

export interface PodCgroup {
  /** Folders whose `cgroup.procs` takes the pod's processes. */
  readonly folders: readonly string[];
  readonly missingLimits: readonly string[];
}

export function makeCgroup(podId: string, limits: SandboxLimits, found = readHierarchies()): PodCgroup {
  const { folderOf, folders } = layout(podId, found);
  if (found.unified !== undefined) openControllers(found.unified);
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const missing = new Set<string>();
  for (const [controller, file, value] of limitFiles(limits, found.unified === undefined ? 1 : 2)) {
    const folder = folderOf(controller);
    if (folder === undefined || !existsSync(join(folder, file))) missing.add(controller);
    else inKernelWords("limit the pod:", join(folder, file), () => writeFileSync(join(folder, file), value));
  }
  return { folders, missingLimits: [...missing] };
}

/** Moves a process, which must not have children yet: they would stay behind. */
export function joinCgroup(cgroup: Pick<PodCgroup, "folders">, pid: number): void {
  for (const folder of cgroup.folders) {
    inKernelWords("put the process into", folder, () =>
      writeFileSync(join(folder, "cgroup.procs"), String(pid)),
    );
  }
}

export function cgroupOf(podId: string, found = readHierarchies()): Pick<PodCgroup, "folders"> {
  return { folders: layout(podId, found).folders.filter((folder) => existsSync(folder)) };
}

export function cgroupProcesses(podId: string, found = readHierarchies()): readonly number[] {
  const pids = cgroupOf(podId, found).folders.flatMap((folder) =>
    readIfThere(join(folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number),
  );
  return [...new Set(pids)];
}

/** Pods that have a group, whoever made it. */
export function listCgroups(found = readHierarchies()): readonly string[] {
  const parents = mounts(found).map((mount) => join(mount, PARENT));
  const names = parents.flatMap((parent) =>
    existsSync(parent)
      ? readdirSync(parent, { withFileTypes: true }).flatMap((entry) =>
          entry.isDirectory() ? [entry.name] : [],
        )
      : [],
  );
  return [...new Set(names)].toSorted();
}

/** False while processes are in it. The parent goes with the last pod. */
export function removeCgroup(podId: string, found = readHierarchies()): boolean {
  const gone = layout(podId, found).folders.map(removeFolder);
  for (const mount of mounts(found)) removeFolder(join(mount, PARENT));
  return gone.every(Boolean);
}

function layout(podId: string, found: Hierarchies) {
  const folderOf = (controller: Controller) => {
    const mount = found.unified ?? found.v1[controller];
    return mount === undefined ? undefined : join(mount, PARENT, podId);
  };
  const folders = CONTROLLERS.flatMap((controller) => folderOf(controller) ?? []);
  return { folderOf, folders: [...new Set(folders)] };
}

function mounts(found: Hierarchies): readonly string[] {
  return found.unified === undefined ? [...new Set(Object.values(found.v1))] : [found.unified];
}

/** Controllers are handed down level by level; one that cannot be is a missing limit later. */
function openControllers(unified: string): void {
  mkdirSync(join(unified, PARENT), { recursive: true });
  for (const folder of [unified, join(unified, PARENT)]) {
    for (const controller of CONTROLLERS) {
      unlessErrno([EBUSY, ENOENT, EINVAL], () =>
        writeFileSync(join(folder, "cgroup.subtree_control"), `+${controller}`),
      );
    }
  }
}

function removeFolder(folder: string): boolean {
  return unlessErrno(
    [EBUSY, ENOTEMPTY, EEXIST],
    () => unlessErrno([ENOENT], () => rmdirSync(folder)) || true,
  );
}

function unlessErrno(expected: readonly number[], run: () => void): boolean {
  try {
    run();
    return true;
  } catch (thrown) {
    if (!expected.includes(errnoOf(thrown) ?? 0)) throw thrown;
    return false;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if ([ENOENT, ESRCH].includes(errnoOf(thrown) ?? 0)) return "";
    throw thrown;
  }
}
