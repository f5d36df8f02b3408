/** What a sandbox is made from and what is kept about it. The same shapes as src/cluster/local/sandbox-port.ts asks. */

export interface SandboxLimits {
  /** Guest memory and everything around it; the kernel kills inside the pod beyond it. */
  readonly memoryBytes?: number;
  /** Thousandths of a CPU. */
  readonly cpuMillis?: number;
  readonly pids?: number;
}

export type SandboxDevice = "net/tun" | "kvm" | "vhost-net";

export interface SandboxSpec {
  /** Names the cgroup: letters, digits, `-`, `_` and `.`. */
  readonly podId: string;
  readonly netnsPath: string;
  readonly hostname: string;
  readonly resolvConf: string;
  readonly limits: SandboxLimits;
  /** Seen and writable inside, under the same paths. */
  readonly dirs: readonly string[];
  /** Programs outside /usr, seen read-only under the same paths: podtap itself, Node. */
  readonly readOnlyDirs: readonly string[];
  /** Devices that exist on the host and work: `kvm` only when it is usable. */
  readonly devices: readonly SandboxDevice[];
  /** Who the processes inside are; the device nodes are this group's. */
  readonly uid: number;
  readonly gid: number;
}

/** JSON: kept by whoever made the sandbox, and all that is needed to find it again. */
export interface SandboxRecord {
  readonly podId: string;
  readonly netnsPath: string;
  /** As the host sees it. */
  readonly pid1: number;
  /** Clock ticks after boot, from /proc/PID/stat: with it a pid is never mistaken for its successor. */
  readonly startTime: string;
  readonly namespaces: { readonly pid: number; readonly mnt: number; readonly net: number };
  /** Limits that the host's cgroups could not take, for status: `["cpu"]`. */
  readonly missingLimits: readonly string[];
}

export interface SpawnSpec {
  /** Absolute path of the program first. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
  /** Descriptors of the caller that become 3, 4, … inside. */
  readonly fds: readonly number[];
  /** Where stdout and stderr go; appended, made when missing. A path of the host. */
  readonly logFile: string;
  /** Inside; default `/`. */
  readonly cwd?: string;
}

export interface SandboxExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface SandboxProcess {
  readonly pid: number;
  readonly startTime: string;
  /** Only as long as the process that spawned it lives. Never rejects. */
  readonly exit: Promise<SandboxExit>;
}
