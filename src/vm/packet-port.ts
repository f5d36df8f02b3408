/**
 * Packet sockets as the guest services need them. vm/ does not talk to the kernel itself: linux/packet-port.ts
 * implements this on packet(7), and the composition root joins the two.
 *
 * A descriptor comes from the node daemon: of the pod's namespace, unbound, deaf. Nothing here takes a capability.
 */

/** One instruction of classic BPF (`struct sock_filter`). */
export interface FilterInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export interface PacketPort {
  /** Index of a link in the namespace of the descriptor. Throws where there is none of that name. */
  linkIndex(fd: number, link: string): number;
  /**
   * Hears, from now on, the frames that arrive on that link and pass the filter. The filter is in force before the
   * first frame is; what the host itself sends is not heard.
   */
  listen(fd: number, ifindex: number, filter: readonly FilterInstruction[]): void;
  /** The next frame, the receiver's own; undefined when there is none now. */
  receive(fd: number): Uint8Array | undefined;
  /** Throws when the kernel does not take the frame. */
  send(fd: number, frame: Uint8Array): void;
  /**
   * Calls back while there are frames to receive. Close it before the descriptor.
   * @param onReadable gets the errno of a pending socket error, otherwise 0
   */
  poll(fd: number, onReadable: (errno: number) => void): { close(): void };
}
