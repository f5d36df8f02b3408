/**
 * TCP into a pod's network, and who is at the other end of a Unix socket. Node's own net.connect would leave from
 * the daemon's network: the socket is made inside a window and wrapped afterwards, `new net.Socket({ fd })`.
 */
import { closeSync } from "node:fs";
import { familyOf, type Ip } from "../base/ip.ts";
import { EINPROGRESS, KernelError } from "./errno.ts";
import {
  AF_INET,
  AF_INET6,
  connectErrno,
  SO_PEERCRED,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  socket,
  socketOption,
} from "./libc.ts";
import { inNetns } from "./netns.ts";
import { connected } from "./poll.ts";
import { internetAddress } from "./socket-address.ts";

const CONNECT_MILLISECONDS = 10_000;

/** Unconnected, non-blocking; the caller's to close. */
export function openTcpSocket(netns: string, ip: Ip): number {
  const family = familyOf(ip) === 6 ? AF_INET6 : AF_INET;
  return inNetns(netns, () => socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0, "a TCP socket"));
}

/** Connects a socket from openTcpSocket, whose namespace it stays in. Closes it when that fails. */
export async function connectTcpSocket(
  fd: number,
  ip: Ip,
  port: number,
  milliseconds = CONNECT_MILLISECONDS,
): Promise<number> {
  const object = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  try {
    const errno = connectErrno(fd, internetAddress(ip, port));
    if (errno === EINPROGRESS) await connected(fd, object, milliseconds);
    else if (errno !== 0) throw new KernelError({ errno, operation: "connect to", object });
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary ones; none where there are more than anybody has. */
  readonly groups: readonly number[];
}

/** asm-generic/socket.h; since Linux 4.13. */
const SO_PEERGROUPS = 59;
const GROUPS_MAX = 1024;

/** Who connected to a Unix socket, as the kernel knows it (SO_PEERCRED); of the moment of connecting. */
export function peerCredentials(fd: number): PeerCredentials {
  const value = socketOption(fd, SOL_SOCKET, SO_PEERCRED, 12, "a Unix socket");
  const view = new DataView(value.buffer);
  const [pid, uid, gid] = [view.getInt32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  return { pid, uid, gid, groups: peerGroups(fd) };
}

function peerGroups(fd: number): readonly number[] {
  try {
    const value = socketOption(fd, SOL_SOCKET, SO_PEERGROUPS, 4 * GROUPS_MAX, "a Unix socket");
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    return Array.from({ length: value.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true));
  } catch (thrown) {
    // ERANGE: too many. Who is let in by uid or first group still is.
    if (thrown instanceof KernelError) return [];
    throw thrown;
  }
}
