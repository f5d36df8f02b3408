/** What the launcher and the process beside QEMU tell each other, by files of the pod's folder. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Mac } from "../../base/mac.ts";
import type { UserNetworkPlan } from "../../plan/plan.ts";

export interface UserNetworkFiles {
  /** What to run; written by the launcher. */
  readonly spec: string;
  /** How it is; written by the process. */
  readonly state: string;
  readonly log: string;
}

export interface UserNetworkSpec {
  readonly state: string;
  readonly networks: readonly {
    readonly nic: string;
    /** The guest's. */
    readonly mac: Mac;
    readonly plan: UserNetworkPlan;
    /** QEMU's end and the program's. */
    readonly qemuSocket: string;
    readonly programSocket: string;
  }[];
}

/** One NIC's network, as status shows it. */
export interface UserNetworkStatus {
  readonly nic: string;
  readonly program: string;
  readonly state: "starting" | "up" | "down";
  /** How the program ended the last time, in its own words where it had any. */
  readonly reason?: string;
  /** How often it was started again. */
  readonly restarts: number;
  readonly pid?: number;
  readonly startTime?: string;
}

export interface UserNetworkState {
  readonly pid: number;
  readonly startTime: string;
  readonly networks: readonly UserNetworkStatus[];
}

export function userNetworkFiles(dir: string): UserNetworkFiles {
  return {
    spec: join(dir, "user-network.spec.json"),
    state: join(dir, "user-network.json"),
    log: join(dir, "user-network.log"),
  };
}

/** Appears whole. */
export function writeJson(path: string, value: UserNetworkSpec | UserNetworkState): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** undefined when there is none. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}

/** Clock ticks after boot: with it a pid is never mistaken for its successor. undefined: no such process. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
