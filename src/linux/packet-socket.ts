/**
 * Packet sockets (packet(7)): whole Ethernet frames of one link, for the guest services.
 *
 * Order matters: the socket is opened with protocol 0 and hears nothing; the filter is attached; then it is bound
 * to link and protocol. Between a bind and a later filter it would collect everybody's frames. Opening takes
 * CAP_NET_RAW, filter and bind do not: a descriptor opened by root may be handed to a launcher without rights.
 */
import { EAGAIN, ENETDOWN, KernelError } from "./errno.ts";
import {
  AF_PACKET,
  addressOf,
  bindSocket,
  recv,
  SO_ATTACH_FILTER,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  send,
  setSocketOption,
  socket,
} from "./libc.ts";
import { inNetns } from "./netns.ts";
import { packetAddress } from "./socket-address.ts";

export const ETH_P_ALL = 0x0003;
const OBJECT = "a packet socket";
const SO_RCVBUFFORCE = 33;
/**
 * For a burst while the reader is kept waiting, as on a busy host: some 3,400 DHCP requests. Only waiting frames take
 * memory. Root may go beyond net.core.rmem_max, a launcher may not, so it is set before the socket is handed over.
 */
const RECEIVE_BUFFER = 2 << 20;

/** One instruction of classic BPF, `struct sock_filter`. */
export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** Deaf until it is bound. Belongs to the caller: close it with node:fs closeSync. */
export function openPacketSocket(netns: string): number {
  const fd = inNetns(netns, () => socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0, OBJECT));
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER, OBJECT);
  return fd;
}

/** The program is checked by the kernel; EINVAL where it does not end in a return or jumps outside. */
export function attachFilter(fd: number, program: readonly BpfInstruction[]): void {
  const code = new Uint8Array(program.length * 8);
  const view = new DataView(code.buffer);
  program.forEach(({ code: operation, jt, jf, k }, i) => {
    view.setUint16(i * 8, operation, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  });
  // struct sock_fprog: length, then (aligned to 8) the address.
  const fprog = new Uint8Array(16);
  const header = new DataView(fprog.buffer);
  header.setUint16(0, program.length, true);
  header.setBigUint64(8, addressOf(code), true);
  setSocketOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, OBJECT);
}

/** @param protocol an EtherType, or ETH_P_ALL */
export function bindPacketSocket(fd: number, ifindex: number, protocol: number): void {
  bindSocket(fd, packetAddress(ifindex, protocol), `link ${ifindex}`);
}

/**
 * The next frame, copied; undefined when there is none now. A frame longer than `size` is cut. That the link went
 * down is no error: it comes up again with the guest.
 */
export function receiveFrame(fd: number, size = 65_536): Uint8Array | undefined {
  if (buffer.length < size) buffer = new Uint8Array(size);
  const received = recv(fd, buffer.subarray(0, size), 0);
  if (received >= 0) return buffer.slice(0, received);
  if (received === -EAGAIN || received === -ENETDOWN) return undefined;
  throw new KernelError({ errno: -received, operation: "receive from", object: OBJECT });
}

export function sendFrame(fd: number, frame: Uint8Array): void {
  send(fd, frame, 0, OBJECT);
}

let buffer = new Uint8Array(65_536);
