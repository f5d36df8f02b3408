/**
 * What local pods need of the machine to live in: a sandbox each. `src/linux/sandbox` is one; the composition root
 * puts them together.
 */
export interface SandboxLimits {
  readonly memoryBytes?: number;
  readonly cpuMillis?: number;
  readonly pids?: number;
}

export interface SandboxSpec {
  readonly podId: string;
  readonly netnsPath: string;
  readonly hostname: string;
  readonly resolvConf: string;
  readonly limits: SandboxLimits;
  /** Seen and writable inside, under the same paths. */
  readonly dirs: readonly string[];
  /** Programs outside /usr, seen read-only under the same paths: podtap itself, Node. */
  readonly readOnlyDirs: readonly string[];
  readonly devices: readonly ("net/tun" | "kvm" | "vhost-net")[];
  readonly uid: number;
  readonly gid: number;
}

/** JSON: stored, and all that is needed to find the sandbox again. */
export interface SandboxRecord {
  readonly podId: string;
  readonly netnsPath: string;
  readonly pid1: number;
  readonly startTime: string;
  readonly namespaces: { readonly pid: number; readonly mnt: number; readonly net: number };
  /** Limits that the host's cgroups could not take, for status. */
  readonly missingLimits: readonly string[];
}

export interface SandboxProcess {
  readonly pid: number;
  readonly startTime: string;
  /** Told only to the process that spawned it; it does not keep that process alive. Never rejects. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

export interface Sandboxes {
  /**
   * The namespace must exist; its links need not, so that CNI may run meanwhile. Some milliseconds, synchronous.
   * What an earlier start left of this pod is killed.
   */
  createSandbox(spec: SandboxSpec): SandboxRecord;
  spawnInSandbox(
    sandbox: SandboxRecord,
    wanted: {
      readonly argv: readonly [string, ...string[]];
      readonly env: Readonly<Record<string, string>>;
      readonly uid: number;
      readonly gid: number;
      /** Descriptors of the caller that become 3, 4, … inside. */
      readonly fds: readonly number[];
      readonly logFile: string;
      readonly cwd?: string;
    },
  ): SandboxProcess;
  /** The record when it still describes a living sandbox. */
  adoptSandbox(record: SandboxRecord): SandboxRecord | undefined;
  /** With a record or without: by id and namespace what a killed daemon left is found too. Idempotent. */
  destroySandbox(sandbox: Pick<SandboxRecord, "podId" | "netnsPath"> & Partial<SandboxRecord>): Promise<void>;
  /** Pods of which something is left, by their control groups. */
  listSandboxes(): readonly string[];
  processesInNetns(path: string): readonly number[];
}
