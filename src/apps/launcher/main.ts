/**
 * `podtap launcher --dir <pod run dir> [--libvirt-cache <dir>]`: the unprivileged process of one VM, started by the
 * node daemon inside the pod's sandbox. Descriptors from 3 on are packet sockets of the pod's namespace.
 *
 * SIGTERM powers the guest off with the manifest's grace, a second one at once; then everything of the VM ends. A
 * launcher that dies in any other way leaves QEMU running for the next one.
 */
import { fstatSync } from "node:fs";
import { parseArgs } from "node:util";
import { messageOf } from "../../base/errors.ts";
import { packetPort } from "../../linux/packet-port.ts";
import { guestServices } from "../../vm/guest-services.ts";
import { FIRST_PACKET_FD } from "../../vm/launch-spec.ts";
import { Launcher } from "../../vm/launcher.ts";
import { launcherFiles } from "../../vm/launcher-files.ts";
import { serveLauncher } from "../../vm/launcher-server.ts";

const { values } = parseArgs({
  options: { dir: { type: "string" }, "libvirt-cache": { type: "string" } },
});

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
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

async function main(dir: string): Promise<void> {
  const files = launcherFiles(dir);
  const launcher = new Launcher({
    files,
    guestServer: guestServices({
      port: packetPort,
      descriptors: packetDescriptors(),
      clock: { now: Date.now },
      log,
    }),
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

/** process.exit() would wait for the thread that waits for libvirt's events; QEMU and libvirtd live on either way. */
function die(message: string): void {
  log(message);
  process.kill(process.pid, "SIGKILL");
}

process.on("unhandledRejection", (problem) => die(`unexpected: ${messageOf(problem)}`));
if (values.dir === undefined) {
  log("usage: podtap launcher --dir <pod run dir> [--libvirt-cache <dir>]");
  process.exitCode = 2;
} else {
  main(values.dir).catch((problem) => die(messageOf(problem)));
}
