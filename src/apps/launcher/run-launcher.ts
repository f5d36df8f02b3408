/** The composition root of a launcher: everything that needs native libraries, loaded while libvirtd starts. */
import { fstatSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { packetPort } from "../../linux/packet-port.ts";
import { trimMemory } from "../../linux/trim-memory.ts";
import { makeUndumpable } from "../../linux/undumpable.ts";
import { guestServices } from "../../vm/guest-services.ts";
import { FIRST_PACKET_FD } from "../../vm/launch-spec.ts";
import { Launcher } from "../../vm/launcher.ts";
import type { LauncherFiles } from "../../vm/launcher-files.ts";
import { serveLauncher } from "../../vm/launcher-server.ts";
import type { Libvirtd } from "../../vm/libvirtd.ts";

/** After the guest runs: the launcher has done what it does once. */
const SETTLED_MS = 3_000;

export interface RunOptions {
  readonly files: LauncherFiles;
  readonly libvirtd: Promise<Libvirtd>;
  readonly userNetworkCommand: readonly [string, ...string[]];
  readonly log: (message: string) => void;
  /** Ends the process at once. */
  readonly die: (message: string) => void;
}

export async function runLauncher({
  files,
  libvirtd,
  userNetworkCommand,
  log,
  die,
}: RunOptions): Promise<void> {
  makeUndumpable();
  const guestServer = guestServices({
    port: packetPort,
    descriptors: packetDescriptors(),
    clock: { now: Date.now },
    log,
  });
  const launcher = new Launcher({ files, guestServer, libvirtd, userNetworkCommand, log });
  const server = await serveLauncher(launcher, files.api);
  let asked = false;
  process.on("SIGTERM", () => {
    const grace = asked ? 0 : launcher.graceSeconds;
    asked = true;
    launcher
      .shutdown(grace)
      .then(() => launcher.close())
      .then(() => server.close())
      .then(() => process.exit(0))
      .catch((problem) => die(`the VM could not be shut down: ${messageOf(problem)}`));
  });
  await launcher.open();
  const stop = launcher.state.watch(({ phase }) => {
    if (phase !== "running") return;
    setImmediate(() => stop());
    setTimeout(trimMemory, SETTLED_MS).unref();
  });
}

/** What was handed over: descriptors in a row that are sockets. Those of Node itself are of other kinds. */
function packetDescriptors(): readonly number[] {
  const found: number[] = [];
  for (let fd = FIRST_PACKET_FD; isSocket(fd); fd++) found.push(fd);
  return found;
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
