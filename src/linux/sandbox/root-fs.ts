/**
 * The file system of a sandbox, made in a mount namespace of its own.
 *
 * Theory of operation. An allow-list on an empty tmpfs: the host's programs and libraries read-only, a /dev of a
 * dozen nodes, /etc of our own making with a few harmless entries of the host's, the pod's own folders under their
 * host paths, and nothing else. What is not listed (other pods, docker.sock, /home, /root, the host's /run) does
 * not exist inside, rather than being covered. At the end the old root is detached, so that the sandbox keeps none
 * of the host's mounts busy, the named network namespaces included.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { PodtapError } from "../../base/errors.ts";
import { inKernelWords } from "../errno.ts";
import { MNT_DETACH, MS_BIND, mount, umount } from "../libc.ts";
import { etcFiles } from "./etc-files.ts";
import {
  changeDirectory,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  makeDevice,
  mountNew,
  pivotIntoCurrentDirectory,
  sealMountTree,
  setUmask,
} from "./mount-calls.ts";
import type { SandboxSpec } from "./types.ts";

const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];
const ETC = [
  "alternatives",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "os-release",
  "ssl",
  "pki",
];
/** linux/Documentation/admin-guide/devices.txt */
const NODES = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
] as const;
const DEVICE_LINKS = [
  ["ptmx", "pts/ptmx"],
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
] as const;
/** As container runtimes do: what tells about the host or its keys. */
const HIDDEN = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sysrq-trigger", "/proc/kallsyms"];
const HIDDEN_DIRS = ["/proc/acpi", "/proc/scsi", "/sys/firmware"];
const MOUNT = "/usr/bin/mount";
const STAGING = ["/mnt", "/media", "/srv", "/opt", "/var/tmp", "/tmp", "/home"];

/** In a window of new namespaces: builds the file system and makes it the thread's root. */
export function enterRootFs(spec: SandboxSpec): void {
  // A daemon with umask 077 would make folders that its launchers cannot enter.
  const umask = setUmask(0o022);
  try {
    buildRootFs(spec);
  } finally {
    setUmask(umask);
  }
}

function buildRootFs(spec: SandboxSpec): void {
  mount(null, "/", null, MS_REC | MS_PRIVATE);
  const root = stagingFor([...spec.dirs, ...spec.readOnlyDirs]);
  mountNew("tmpfs", root, MS_NOSUID | MS_NODEV, "mode=0755,size=8m");
  for (const path of [...SYSTEM, ...ETC.map((name) => `/etc/${name}`)]) showSystem(root, path);
  writeEtc(root, spec);
  makeDev(join(root, "dev"), spec);
  for (const path of ["run", "tmp", "var/tmp"]) makeTmp(join(root, path), path === "run" ? "0755" : "1777");
  for (const path of ["proc", "sys"]) mkdirSync(join(root, path));
  mountNew("sysfs", join(root, "sys"), MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "");
  // After the tmpfs instances: a pod's folders are usually below /run and /var, a checkout may lie in /tmp.
  for (const path of spec.readOnlyDirs) bind(root, path, true);
  for (const path of spec.dirs) bind(root, path, false);
  mount(null, root, null, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV);
  changeDirectory(root);
  pivotIntoCurrentDirectory();
  umount(".", MNT_DETACH);
  changeDirectory("/");
}

/** A folder of the host to build on: inside this namespace only, and not over what is to be shown. */
export function stagingFor(sources: readonly string[], exists: (path: string) => boolean = isFolder): string {
  const found = STAGING.find(
    (path) => exists(path) && !sources.some((source) => source === path || source.startsWith(`${path}/`)),
  );
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-SANDBOX-1",
    message: `no folder to build a sandbox on: none of ${STAGING.join(", ")} is there and free`,
    hint: "make an empty folder /mnt",
  });
}

function showSystem(root: string, path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  const target = join(root, path);
  if (found.isSymbolicLink()) {
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(readlinkSync(path), target);
  } else {
    bind(root, path, true);
  }
}

function bind(root: string, path: string, readOnly: boolean): void {
  const target = join(root, path);
  const found = inKernelWords("show in the sandbox:", path, () => lstatSync(path));
  if (found.isDirectory()) mkdirSync(target, { recursive: true });
  else {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, "");
  }
  mount(path, target, null, MS_BIND | MS_REC);
  if (readOnly) sealMountTree(target);
  else mount(null, target, null, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV);
}

function writeEtc(root: string, spec: SandboxSpec): void {
  for (const [name, text] of Object.entries(etcFiles(spec))) {
    mkdirSync(join(root, "etc"), { recursive: true });
    writeFileSync(join(root, "etc", name), text, { mode: 0o644 });
  }
}

function makeDev(dev: string, spec: SandboxSpec): void {
  mkdirSync(dev);
  mountNew("tmpfs", dev, MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k");
  for (const [name, major, minor] of NODES) addNode(join(dev, name), (major << 8) | minor, 0o666);
  for (const [name, target] of DEVICE_LINKS) symlinkSync(target, join(dev, name));
  for (const name of spec.devices) {
    // The number is the host's: vhost-net's is dynamic on some kernels.
    const { rdev } = inKernelWords("find the device", `/dev/${name}`, () => statSync(`/dev/${name}`));
    mkdirSync(dirname(join(dev, name)), { recursive: true });
    addNode(join(dev, name), rdev, 0o660);
    chownSync(join(dev, name), 0, spec.gid);
  }
  mkdirSync(join(dev, "pts"));
  mountNew("devpts", join(dev, "pts"), MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
  makeTmp(join(dev, "shm"), "1777");
  mount(null, dev, null, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC);
}

function addNode(path: string, device: number, mode: number): void {
  makeDevice(path, mode, device);
  // mknod(2) obeys the umask.
  chmodSync(path, mode);
}

function makeTmp(path: string, mode: string): void {
  mkdirSync(path, { recursive: true });
  mountNew("tmpfs", path, MS_NOSUID | MS_NODEV, `mode=${mode},size=128m`);
}

/**
 * In the same window, once pid 1 lives. A /proc shows the PID namespace of the task that mounts it, and this thread
 * stays in the host's: a child has to do it.
 */
export function mountProc(): void {
  const tried = spawnSync(MOUNT, ["-n", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc"], {
    cwd: "/",
    env: {},
    encoding: "utf8",
    timeout: 10_000,
  });
  if (tried.status !== 0) {
    throw new PodtapError({
      code: "PT-SANDBOX-9",
      message:
        `cannot mount the sandbox's /proc: ${tried.stderr || (tried.error?.message ?? "killed")}`.trim(),
      hint: `is ${MOUNT} installed?`,
    });
  }
  for (const path of HIDDEN) if (existsSync(path)) mount("/dev/null", path, null, MS_BIND);
  for (const path of HIDDEN_DIRS) {
    if (isFolder(path)) mountNew("tmpfs", path, MS_RDONLY, "size=4k,nr_inodes=2");
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
