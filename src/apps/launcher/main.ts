/**
 * `podtap launcher --dir <pod run dir> [--libvirt-cache <dir>]`: the unprivileged process of one VM, started by the
 * node daemon inside the pod's sandbox. Descriptors from 3 on are packet sockets of the pod's namespace.
 *
 * Only what starts libvirtd is imported here: it takes as long to come up as the rest takes to load.
 *
 * SIGTERM powers the guest off with the manifest's grace, a second one at once; then everything of the VM ends. A
 * launcher that dies in any other way leaves QEMU running for the next one.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../base/errors.ts";
import { launcherFiles } from "../../vm/launcher-files.ts";
import { writeLibvirtFiles } from "../../vm/libvirt-files.ts";
import { startLibvirtd } from "../../vm/libvirtd.ts";

/** With it this is not a launcher, but the process beside QEMU that keeps user networks (vm/user-network). */
const USER_NETWORK = "user-network";

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    "libvirt-cache": { type: "string" },
    [USER_NETWORK]: { type: "string" },
  },
});

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

/** process.exit() would wait for the thread that waits for libvirt's events; QEMU and libvirtd live on either way. */
function die(message: string): void {
  log(message);
  process.kill(process.pid, "SIGKILL");
}

async function main(dir: string): Promise<void> {
  const files = launcherFiles(dir);
  writeLibvirtFiles(files.libvirt, values["libvirt-cache"]);
  const libvirtd = startLibvirtd(files.libvirt);
  // Its failure is told to whoever needs it: a launcher without libvirtd still answers.
  libvirtd.catch(() => undefined);
  const { runLauncher } = await import("./run-launcher.ts");
  const self = [process.execPath, ...process.execArgv, process.argv[1] ?? ""] as const;
  await runLauncher({ files, libvirtd, userNetworkCommand: [...self, `--${USER_NETWORK}`], log, die });
}

async function keepUserNetworks(specFile: string): Promise<void> {
  const { runUserNetwork } = await import("../../vm/user-network/run-user-network.ts");
  runUserNetwork(specFile, log);
}

process.on("unhandledRejection", (problem) => die(`unexpected: ${messageOf(problem)}`));
const specFile = values[USER_NETWORK];
if (specFile !== undefined) {
  keepUserNetworks(specFile).catch((problem) => die(messageOf(problem)));
} else if (values.dir === undefined) {
  log("usage: podtap launcher --dir <pod run dir> [--libvirt-cache <dir>]");
  process.exitCode = 2;
} else {
  main(values.dir).catch((problem) => die(messageOf(problem)));
}
