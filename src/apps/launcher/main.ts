/**
 * `podtap launcher --dir <pod run dir> [--libvirt-cache <dir>]`: the unprivileged process of one VM, started by the
 * node daemon inside the pod's sandbox. Descriptors from 3 on are packet sockets of the pod's namespace.
 *
 * SIGTERM powers the guest off with the manifest's grace, a second one at once; then everything of the VM ends. A
 * launcher that dies in any other way leaves QEMU running for the next one.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../base/errors.ts";
import { Launcher } from "../../vm/launcher.ts";
import { launcherFiles } from "../../vm/launcher-files.ts";
import { serveLauncher } from "../../vm/launcher-server.ts";

const { values } = parseArgs({
  options: { dir: { type: "string" }, "libvirt-cache": { type: "string" } },
});

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

async function main(dir: string): Promise<void> {
  const files = launcherFiles(dir);
  const launcher = new Launcher({
    files,
    guestServer: { serve: () => undefined, close: () => undefined },
    log,
    ...(values["libvirt-cache"] === undefined ? {} : { sharedCapabilities: values["libvirt-cache"] }),
  });
  // The daemon waits for the socket: it comes before anything that takes time.
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
}

function die(message: string): never {
  log(message);
  process.exit(1);
}

process.on("unhandledRejection", (problem) => die(`unexpected: ${messageOf(problem)}`));
if (values.dir === undefined) die("usage: podtap launcher --dir <pod run dir>");
main(values.dir).catch((problem) => die(messageOf(problem)));
