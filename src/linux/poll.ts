/**
 * Descriptors that Node itself cannot wrap (packet and netlink sockets), in its event loop: koffi's
 * `node.poll`, which is libuv's. Undocumented and with traps, so it is used here only:
 *
 * - a collected handle stops silently, so handles in use are held here;
 * - an exception thrown into native code is lost, so it is raised from the event loop instead;
 * - a pending socket error (a packet socket's link went down, a netlink socket overflowed) makes libuv stop the
 *   handle for good with EBADF. The error is taken from the socket, told, and the handle started again;
 * - the handle must be closed before the descriptor.
 */
import koffi from "koffi";
import { ETIMEDOUT, KernelError } from "./errno.ts";
import { SO_ERROR, SOL_SOCKET, socketOption } from "./libc.ts";

/** What koffi really calls back with; its types lack the status. */
type Callback = (status: number, events: { readonly readable: boolean; readonly writable: boolean }) => void;
interface Handle {
  close(): void;
  ref(): void;
  unref(): void;
}
const startPoll = koffi.node.poll as unknown as (
  fd: number,
  options: { readonly readable?: boolean; readonly writable?: boolean },
  callback: Callback,
) => Handle;

const inUse = new Set<Handle>();

export interface Polling {
  /** Ends polling; the descriptor stays open and is the caller's to close, afterwards. */
  close(): void;
  /** Lets the process end although this is polled. */
  unref(): void;
}

/**
 * Calls back whenever the descriptor may be read: read until EAGAIN.
 * @param onReadable gets the errno of a pending socket error (ENETDOWN, ENOBUFS), otherwise 0
 */
export function pollReadable(fd: number, onReadable: (errno: number) => void): Polling {
  let handle: Handle | undefined;
  let keepsAlive = true;
  const start = (): void => {
    handle = startPoll(fd, { readable: true }, onEvent);
    inUse.add(handle);
    if (!keepsAlive) handle.unref();
  };
  const stop = (): void => {
    if (handle === undefined) return;
    inUse.delete(handle);
    handle.close();
    handle = undefined;
  };
  const onEvent: Callback = (status) => {
    guarded(() => {
      if (status >= 0) return onReadable(0);
      stop();
      // Throws where the descriptor is closed or no socket: then there is nothing to poll any more.
      const errno = pendingError(fd);
      start();
      return onReadable(errno);
    });
  };
  start();
  return {
    close: stop,
    unref: () => {
      keepsAlive = false;
      handle?.unref();
    },
  };
}

/** Resolves once a socket has finished connecting; rejects with what became of it instead. */
export function connected(fd: number, object: string, milliseconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (errno: number): void => {
      clearTimeout(timer);
      inUse.delete(handle);
      handle.close();
      if (errno === 0) resolve();
      else reject(new KernelError({ errno, operation: "connect to", object }));
    };
    const timer = setTimeout(() => finish(ETIMEDOUT), milliseconds);
    const handle = startPoll(fd, { writable: true }, () => guarded(() => finish(pendingError(fd))));
    inUse.add(handle);
  });
}

/** The socket's pending error, taken from it; 0 for none. */
function pendingError(fd: number): number {
  const value = socketOption(fd, SOL_SOCKET, SO_ERROR, 4, "a polled socket");
  return new DataView(value.buffer).getInt32(0, true);
}

function guarded(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    setImmediate(() => {
      throw thrown;
    });
  }
}
