/** What is kept about a pod between daemons, and where its parts lie. */
import { chownSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PodIdentity } from "../../cluster/local/pods/machine.ts";
import type { SandboxRecord } from "../../cluster/local/sandbox-port.ts";
import type { Paths } from "../paths.ts";

/** KubeVirt's unprivileged user (`pkg/util.NonRootUID`). */
export const LAUNCHER_UID = 107;

export interface PodFolders {
  /** Sockets and logs; the launcher's. */
  readonly run: string;
  /** Plan, journal, record: root's. */
  readonly state: string;
  /** The launcher's. */
  readonly disks: string;
  readonly record: string;
  readonly netns: string;
  readonly launcherSocket: string;
  readonly consoleSocket: string;
  readonly launcherLog: string;
}

export function podFolders(paths: Paths, id: string): PodFolders {
  const run = paths.podRun(id);
  const state = paths.podState(id);
  return {
    run,
    state,
    disks: join(state, "disks"),
    record: join(state, "sandbox.json"),
    netns: join(paths.netns, id),
    launcherSocket: join(run, "launcher.sock"),
    consoleSocket: join(run, "console.sock"),
    launcherLog: join(run, "launcher.log"),
  };
}

/** State first: what has a state folder is found again, whatever else was made. */
export function makePodFolders(folders: PodFolders): void {
  mkdirSync(folders.state, { recursive: true, mode: 0o711 });
  for (const path of [folders.disks, folders.run]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chownSync(path, LAUNCHER_UID, LAUNCHER_UID);
  }
}

export function removePodFolders(folders: PodFolders): void {
  rmSync(folders.run, { recursive: true, force: true });
  rmSync(folders.state, { recursive: true, force: true });
}

export interface StoredPod {
  readonly pod: PodIdentity;
  readonly sandbox: SandboxRecord;
  /** The last one that was spawned. */
  readonly launcher?: { readonly pid: number; readonly startTime: string };
}

export function writeRecord(folders: PodFolders, stored: StoredPod): void {
  writeFileSync(`${folders.record}.new`, JSON.stringify(stored), { mode: 0o600 });
  renameSync(`${folders.record}.new`, folders.record);
}

/** undefined when there is none, or when it was cut short. */
export function readRecord(folders: PodFolders): StoredPod | undefined {
  try {
    return JSON.parse(readFileSync(folders.record, "utf8")) as StoredPod;
  } catch {
    return undefined;
  }
}
