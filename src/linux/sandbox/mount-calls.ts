/**
 * The system calls of building a sandbox's file system that libc.ts does not have: synchronous, in the calling
 * thread, a KernelError on failure.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { KernelError } from "../errno.ts";

export const CLONE_FS = 0x00000200;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWUTS = 0x04000000;
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
/** Newer calls have one number on all architectures; pivot_root(2) has not. */
const SYS_CLOSE_RANGE = 436;
const CLOSE_RANGE_CLOEXEC = 4;
const SYS_MOUNT_SETATTR = 442;
const SYS_PIVOT_ROOT = process.arch === "arm64" ? 41 : 155;
const MOUNT_ATTR_SIZE = 32;

const libc = koffi.load("libc.so.6");
const c = {
  mount: libc.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  ) as (source: string, target: string, type: string, flags: number, data: string) => number,
  chdir: libc.func("int chdir(const char *path)") as (path: string) => number,
  fchdir: libc.func("int fchdir(int fd)") as (fd: number) => number,
  mknod: libc.func("int mknod(const char *path, uint32_t mode, uint64_t device)") as (
    path: string,
    mode: number,
    device: number,
  ) => number,
  umask: libc.func("uint32_t umask(uint32_t mask)") as (mask: number) => number,
  sethostname: libc.func("int sethostname(const char *name, size_t length)") as (
    name: string,
    length: number,
  ) => number,
  pivotRoot: libc.func("syscall", "long", ["long", "const char *", "const char *"]) as (
    number: number,
    newRoot: string,
    putOld: string,
  ) => number,
  closeRange: libc.func("syscall", "long", ["long", "uint32_t", "uint32_t", "uint32_t"]) as (
    number: number,
    first: number,
    last: number,
    flags: number,
  ) => number,
  mountSetattr: libc.func("syscall", "long", [
    "long",
    "int",
    "const char *",
    "uint32_t",
    "void *",
    "size_t",
  ]) as (
    number: number,
    dirFd: number,
    path: string,
    flags: number,
    attributes: Uint8Array,
    size: number,
  ) => number,
};

/** A new instance of a file system, with its options. */
export function mountNew(type: string, target: string, flags: number, options: string): void {
  check(c.mount(type, target, type, flags, options), `mount a ${type} on`, target);
}

/** The mount and everything mounted below it becomes read-only, without set-uid programs and devices. */
export function sealMountTree(path: string): void {
  const attributes = new Uint8Array(MOUNT_ATTR_SIZE);
  // MOUNT_ATTR_* have the values of MS_* for these three.
  new DataView(attributes.buffer).setUint32(0, MS_RDONLY | MS_NOSUID | MS_NODEV, true);
  const result = c.mountSetattr(SYS_MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, attributes, MOUNT_ATTR_SIZE);
  check(result, "make read-only", path);
}

export function changeDirectory(to: string | number): void {
  const result = typeof to === "string" ? c.chdir(to) : c.fchdir(to);
  check(result, "change the working directory to", String(to));
}

/** The current directory, a mount, becomes the root of this mount namespace; the old root is under it on top. */
export function pivotIntoCurrentDirectory(): void {
  check(c.pivotRoot(SYS_PIVOT_ROOT, ".", "."), "make it the root:", "the sandbox's file system");
}

export function makeDevice(path: string, mode: number, device: number): void {
  const S_IFCHR = 0o020000;
  check(c.mknod(path, S_IFCHR | mode, device), "make the device", path);
}

/**
 * No descriptor of this process but 0 to 2 is inherited by what it spawns, other than on purpose. Node's own never
 * are; this is about those that the process was started with.
 */
export function closeOnExec(): void {
  check(
    c.closeRange(SYS_CLOSE_RANGE, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC),
    "close on exec",
    "all descriptors",
  );
}

/** Returns what it was. */
export function setUmask(mask: number): number {
  return c.umask(mask);
}

export function setHostname(name: string): void {
  check(c.sethostname(name, new TextEncoder().encode(name).length), "set the host name", name);
}

function check(result: number, operation: string, object: string): void {
  if (result >= 0) return;
  const errno = koffi.errno();
  throw new KernelError({
    errno,
    operation,
    object,
    // The general hint is about nft and links.
    ...(errno === constants.errno.ENOENT && {
      hint: "the directory to mount on, or the file to mount, is not there",
    }),
  });
}
