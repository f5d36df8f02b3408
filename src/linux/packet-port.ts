/**
 * Packet sockets for the guest services (`PacketPort` of vm/packet-port.ts): an unbound descriptor becomes the ear
 * and mouth of one link. None of this takes a capability, so a launcher does it with a descriptor that root opened.
 */
import { EAGAIN, ENETDOWN, KernelError } from "./errno.ts";
import { ioctl, recv, setSocketOption } from "./libc.ts";
import {
  attachFilter,
  type BpfInstruction,
  bindPacketSocket,
  ETH_P_ALL,
  sendFrame,
} from "./packet-socket.ts";
import { type Polling, pollReadable } from "./poll.ts";

const SIOCGIFINDEX = 0x8933;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
/** What DHCP clients send fits; longer frames are cut and then refused as truncated. */
const FRAME_MAX = 4096;
const OBJECT = "a packet socket";

/** Shared by all sockets of the thread: a frame is copied out of it before the next one is read. */
const buffer = new Uint8Array(FRAME_MAX);

export const packetPort = {
  linkIndex(fd: number, link: string): number {
    // struct ifreq: 16 bytes of name, then the index. The socket's namespace counts, not the caller's.
    const request = new Uint8Array(40);
    request.set(new TextEncoder().encode(link).subarray(0, 15));
    ioctl(fd, SIOCGIFINDEX, request, "find the link", link);
    return new DataView(request.buffer).getInt32(16, true);
  },

  listen(fd: number, ifindex: number, filter: readonly BpfInstruction[]): void {
    attachFilter(fd, filter);
    // A socket for all protocols is also shown what the host sends: a copy of each packet to the guest, for nothing.
    setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, OBJECT);
    bindPacketSocket(fd, ifindex, ETH_P_ALL);
  },

  receive(fd: number): Uint8Array | undefined {
    const received = recv(fd, buffer, 0);
    if (received >= 0) return buffer.slice(0, received);
    if (received === -EAGAIN || received === -ENETDOWN) return undefined;
    throw new KernelError({ errno: -received, operation: "receive from", object: OBJECT });
  },

  send: sendFrame,

  poll: (fd: number, onReadable: (errno: number) => void): Polling => pollReadable(fd, onReadable),
};
