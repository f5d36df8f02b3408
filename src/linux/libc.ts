/**
 * The C library through koffi: the only module that declares its functions. Every function is synchronous, runs in
 * the calling thread and throws a KernelError that names operation and object.
 *
 * A wrong signature here is a segmentation fault, so each declaration is copied from its manual page. Variadic
 * functions (ioctl) are declared with the arguments they are called with: on x86-64 and arm64 Linux both kinds of
 * call are made alike. koffi has no ssize_t; `long` is the same size on both.
 */
import koffi from "koffi";
import { EINTR, KernelError } from "./errno.ts";

export const CLONE_NEWNET = 0x40000000;
export const CLONE_NEWNS = 0x00020000;
export const MS_BIND = 0x1000;
export const MNT_DETACH = 2;

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_RCVBUF = 8;
export const SO_PEERCRED = 17;
export const SO_ATTACH_FILTER = 26;
const MFD_CLOEXEC = 1;
const POLLIN = 1;

type Bytes = Uint8Array;

const libc = koffi.load("libc.so.6");
const c = {
  setns: libc.func("int setns(int fd, int nstype)") as (fd: number, type: number) => number,
  unshare: libc.func("int unshare(int flags)") as (flags: number) => number,
  mount: libc.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)",
  ) as (
    source: string | null,
    target: string,
    type: string | null,
    flags: number,
    data: Bytes | null,
  ) => number,
  umount2: libc.func("int umount2(const char *target, int flags)") as (
    target: string,
    flags: number,
  ) => number,
  ioctl: libc.func("int ioctl(int fd, unsigned long request, void *argument)") as (
    fd: number,
    request: number,
    argument: Bytes,
  ) => number,
  ioctlValue: libc.func("ioctl", "int", ["int", "unsigned long", "long"]) as (
    fd: number,
    request: number,
    value: number,
  ) => number,
  socket: libc.func("int socket(int domain, int type, int protocol)") as (
    domain: number,
    type: number,
    protocol: number,
  ) => number,
  bind: libc.func("int bind(int fd, const void *address, uint32_t length)") as (
    fd: number,
    address: Bytes,
    length: number,
  ) => number,
  connect: libc.func("int connect(int fd, const void *address, uint32_t length)") as (
    fd: number,
    address: Bytes,
    length: number,
  ) => number,
  send: libc.func("long send(int fd, const void *bytes, size_t length, int flags)") as (
    fd: number,
    bytes: Bytes,
    length: number,
    flags: number,
  ) => number,
  recv: libc.func("long recv(int fd, void *bytes, size_t length, int flags)") as (
    fd: number,
    bytes: Bytes,
    length: number,
    flags: number,
  ) => number,
  setsockopt: libc.func(
    "int setsockopt(int fd, int level, int option, const void *value, uint32_t length)",
  ) as (fd: number, level: number, option: number, value: Bytes, length: number) => number,
  getsockopt: libc.func("int getsockopt(int fd, int level, int option, void *value, void *length)") as (
    fd: number,
    level: number,
    option: number,
    value: Bytes,
    length: Bytes,
  ) => number,
  poll: libc.func("int poll(void *fds, unsigned long count, int milliseconds)") as (
    fds: Bytes,
    count: number,
    milliseconds: number,
  ) => number,
  memfdCreate: libc.func("int memfd_create(const char *name, unsigned int flags)") as (
    name: string,
    flags: number,
  ) => number,
  syscall: libc.func("syscall", "long", ["long", "long", "void *", "unsigned int"]) as (
    number: number,
    command: number,
    attributes: Bytes,
    size: number,
  ) => number,
  abort: libc.func("void abort()") as () => void,
};

export function setns(fd: number, type: number, object: string): void {
  check(c.setns(fd, type), "enter the namespace", object);
}

export function unshare(flags: number, object: string): void {
  check(c.unshare(flags), "make a new namespace for", object);
}

export function mount(source: string | null, target: string, type: string | null, flags: number): void {
  check(c.mount(source, target, type, flags, null), "mount on", target);
}

export function umount(target: string, flags: number): void {
  check(c.umount2(target, flags), "unmount", target);
}

/** An ioctl with a structure. */
export function ioctl(fd: number, request: number, argument: Bytes, operation: string, object: string): void {
  check(c.ioctl(fd, request, argument), operation, object);
}

/** An ioctl whose argument is a number by value. */
export function ioctlValue(
  fd: number,
  request: number,
  value: number,
  operation: string,
  object: string,
): void {
  check(c.ioctlValue(fd, request, value), operation, object);
}

/** Close it with node:fs closeSync. */
export function socket(domain: number, type: number, protocol: number, object: string): number {
  return check(c.socket(domain, type | SOCK_CLOEXEC, protocol), "open", object);
}

export function bindSocket(fd: number, address: Bytes, object: string): void {
  check(c.bind(fd, address, address.length), "bind a socket to", object);
}

/** The errno of connect(2), 0 when connected at once; EINPROGRESS on a non-blocking socket. */
export function connectErrno(fd: number, address: Bytes): number {
  return c.connect(fd, address, address.length) < 0 ? koffi.errno() : 0;
}

export function send(fd: number, bytes: Bytes, flags: number, object: string): number {
  for (;;) {
    const sent = c.send(fd, bytes, bytes.length, flags);
    if (sent >= 0 || koffi.errno() !== EINTR) return check(sent, "send to", object);
  }
}

/** The number of bytes received, or a negative errno: EAGAIN and ENOBUFS are part of a reader's life. */
export function recv(fd: number, bytes: Bytes, flags: number): number {
  for (;;) {
    const received = c.recv(fd, bytes, bytes.length, flags);
    if (received >= 0) return received;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

export function setSocketOption(
  fd: number,
  level: number,
  option: number,
  value: Bytes | number,
  object: string,
): void {
  const bytes = typeof value === "number" ? int32(value) : value;
  check(c.setsockopt(fd, level, option, bytes, bytes.length), "set a socket option of", object);
}

/** As many bytes as the kernel gave, at most `size`. */
export function socketOption(fd: number, level: number, option: number, size: number, object: string): Bytes {
  const value = new Uint8Array(size);
  const length = int32(size);
  check(c.getsockopt(fd, level, option, value, length), "read a socket option of", object);
  return value.subarray(0, new DataView(length.buffer).getInt32(0, true));
}

/** Blocks the thread: only for answers that are known to be on their way. */
export function waitReadable(fd: number, milliseconds: number): boolean {
  const entry = new Uint8Array(8);
  const view = new DataView(entry.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  return c.poll(entry, 1, milliseconds) > 0;
}

/** The address of bytes that a structure points to. Keep the array referenced until the call is over. */
export function addressOf(bytes: Bytes): bigint {
  return koffi.address(bytes);
}

/** An empty file without a name, gone with its descriptor; others in this process open it by /proc/self/fd. */
export function memoryFile(label: string): number {
  return check(c.memfdCreate(label, MFD_CLOEXEC), "make the memory file", label);
}

/** bpf(2), which the C library does not wrap. */
export function bpf(command: number, attributes: Bytes, object: string): number {
  const number = process.arch === "arm64" ? 280 : 321;
  return check(c.syscall(number, command, attributes, attributes.length), "load the eBPF program", object);
}

/** Ends the whole process, from a worker too, where process.abort() is refused. */
export function abortProcess(): never {
  c.abort();
  throw new Error("abort() returned");
}

function int32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** To be called right after the call whose result it judges: any other call may change errno. */
function check(result: number, operation: string, object: string): number {
  if (result >= 0) return result;
  throw new KernelError({ errno: koffi.errno(), operation, object });
}
