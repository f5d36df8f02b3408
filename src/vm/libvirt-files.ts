/**
 * Directories and settings of one VM's libvirtd. Everything of it lives in `<pod dir>/v`, which therefore outlives
 * the daemon: a new one with the same directories finds the running QEMU again.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PodtapError } from "../base/errors.ts";

export interface LibvirtFiles {
  readonly home: string;
  readonly socket: string;
  readonly pidFile: string;
  readonly log: string;
  readonly capabilities: string;
  qemuPidFile(domain: string): string;
  qemuLog(domain: string): string;
}

/**
 * QEMU's monitor is `<home>/libvirt/qemu/lib/domain-<id>-<20 characters of the name>/monitor.sock`, and a Unix
 * socket's path holds 107 bytes.
 */
const HOME_MAX = 45;

const DRIVER_DIRS = [
  "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver",
  "/usr/lib/aarch64-linux-gnu/libvirt/connection-driver",
  "/usr/lib64/libvirt/connection-driver",
];
const QEMU_DRIVER = "libvirt_driver_qemu.so";

/**
 * No security driver, namespaces, cgroups or chown: all of them need root, and the sandbox did that part already.
 * The seccomp filter needs none, so it is demanded rather than left to detection.
 *
 * `cpu-unavailable-features` off: with it libvirt reads each of some 270 CPU properties from QEMU by a message of
 * its own, at 0.5 ms each, only to describe the CPU in the live XML. Without it, two messages say the same.
 */
const QEMU_CONF = `security_driver = "none"
namespaces = []
cgroup_controllers = []
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
seccomp_sandbox = 1
capability_filters = [ "cpu-unavailable-features" ]
`;
const LIBVIRTD_CONF = `log_level = 3
log_outputs = "3:stderr"
min_workers = 2
max_workers = 5
prio_workers = 1
admin_min_workers = 1
admin_max_workers = 1
max_clients = 20
`;

export function libvirtFiles(podDir: string): LibvirtFiles {
  const home = join(podDir, "v");
  if (Buffer.byteLength(home) > HOME_MAX) {
    throw new PodtapError({
      code: "PT-LAUNCHER-1",
      message: `the run directory ${podDir} is too long: libvirt's sockets below it would not fit a Unix socket's path`,
      hint: `Choose one of at most ${HOME_MAX - 2} bytes (PODTAP_RUN_DIR).`,
    });
  }
  const own = join(home, "libvirt");
  return {
    home,
    socket: join(own, "libvirt-sock"),
    pidFile: join(own, "libvirtd.pid"),
    log: join(podDir, "libvirtd.log"),
    capabilities: join(own, "qemu", "cache", "capabilities"),
    qemuPidFile: (domain) => join(own, "qemu", "run", `${domain}.pid`),
    qemuLog: (domain) => join(own, "qemu", "log", `${domain}.log`),
  };
}

/** Idempotent: a daemon that runs on these files is not disturbed. */
export function writeLibvirtFiles(files: LibvirtFiles, sharedCapabilities: string | undefined): void {
  const drivers = join(files.home, "drivers");
  mkdirSync(files.capabilities, { recursive: true, mode: 0o700 });
  mkdirSync(drivers, { recursive: true, mode: 0o700 });
  writeFileSync(join(files.home, "libvirt", "qemu.conf"), QEMU_CONF);
  writeFileSync(join(files.home, "libvirt", "libvirtd.conf"), LIBVIRTD_CONF);
  const driver = join(drivers, QEMU_DRIVER);
  rmSync(driver, { force: true });
  symlinkSync(join(driverDir(), QEMU_DRIVER), driver);
  if (sharedCapabilities !== undefined) copyCapabilities(sharedCapabilities, files.capabilities);
}

/**
 * One file an emulator. A missing, unreadable or stale one costs the start about 1.5 s and nothing else; libvirt
 * judges that itself.
 */
export function copyCapabilities(from: string, to: string): void {
  try {
    // Written anew rather than copied: the file is then the copier's own.
    for (const name of readdirSync(from)) {
      if (/^[0-9a-f]{64}\.xml$/.test(name)) writeFileSync(join(to, name), readFileSync(join(from, name)));
    }
  } catch (problem) {
    if ((problem as NodeJS.ErrnoException).syscall === undefined) throw problem;
    // libvirt asks QEMU anew.
  }
}

/** What libvirtd may know of its surroundings: nothing of the user's. */
export function libvirtEnvironment(files: LibvirtFiles): Record<string, string> {
  return {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C",
    HOME: files.home,
    XDG_CONFIG_HOME: files.home,
    XDG_CACHE_HOME: files.home,
    XDG_DATA_HOME: files.home,
    XDG_RUNTIME_DIR: files.home,
    // Only the driver that is used is in there: 7 MB less.
    LIBVIRT_DRIVER_DIR: join(files.home, "drivers"),
  };
}

function driverDir(): string {
  const found = DRIVER_DIRS.find((dir) => existsSync(join(dir, QEMU_DRIVER)));
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-LAUNCHER-2",
    message: `libvirt's QEMU driver was not found in ${DRIVER_DIRS.join(", ")}`,
    hint: "Install libvirt-daemon-driver-qemu (make setup does).",
  });
}
