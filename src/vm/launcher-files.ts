/** What lies in a pod's run directory beside libvirt's own. All of it belongs to the launcher's uid. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConsoleFiles } from "./console.ts";
import type { LaunchSpec } from "./launch-spec.ts";
import { type LibvirtFiles, libvirtFiles } from "./libvirt-files.ts";
import { type UserNetworkFiles, userNetworkFiles } from "./user-network/files.ts";

export interface LauncherFiles {
  readonly api: string;
  readonly console: ConsoleFiles;
  readonly agentSocket: string;
  /** Folder of the sockets of NICs without a tap. */
  readonly nicSockets: string;
  readonly userNetwork: UserNetworkFiles;
  readonly libvirt: LibvirtFiles;
  /** The spec of a start that is under way. */
  readonly starting: string;
  /** The spec of a domain that was let run: a later launcher goes on from it. */
  readonly started: string;
}

export function launcherFiles(dir: string): LauncherFiles {
  return {
    api: join(dir, "launcher.sock"),
    console: {
      serialSocket: join(dir, "serial.sock"),
      clientSocket: join(dir, "console.sock"),
      log: join(dir, "serial.log"),
    },
    agentSocket: join(dir, "agent.sock"),
    nicSockets: dir,
    userNetwork: userNetworkFiles(dir),
    libvirt: libvirtFiles(dir),
    starting: join(dir, "launch.starting.json"),
    started: join(dir, "launch.json"),
  };
}

export function keepStarting(files: LauncherFiles, spec: LaunchSpec): void {
  writeFileSync(files.starting, JSON.stringify(spec), { mode: 0o600 });
}

export function keepStarted(files: LauncherFiles): void {
  renameSync(files.starting, files.started);
}

export interface KeptLaunch {
  readonly spec: LaunchSpec;
  /** False: the launcher died before the guest's CPUs ran. */
  readonly started: boolean;
}

export function readKeptLaunch(files: LauncherFiles): KeptLaunch | undefined {
  const starting = readSpec(files.starting);
  if (starting !== undefined) return { spec: starting, started: false };
  const started = readSpec(files.started);
  return started === undefined ? undefined : { spec: started, started: true };
}

/** undefined when there is none, or only the beginning of one. */
function readSpec(path: string): LaunchSpec | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as LaunchSpec;
  } catch {
    return undefined;
  }
}
