/**
 * Changes of links as the kernel announces them. An announcement wakes a reader; when some were lost the reader is
 * told to look again, so that nothing is concluded from silence.
 */
import { decodeMessages } from "../wire/netlink.ts";
import { decodeLink, type LinkInfo, RTM_DELLINK, RTM_NEWLINK } from "../wire/netlink-link.ts";
import { EAGAIN, ENOBUFS, KernelError } from "./errno.ts";
import { AF_NETLINK, bindSocket, recv, SOCK_NONBLOCK, SOCK_RAW, socket } from "./libc.ts";
import { inNetns } from "./netns.ts";
import { type Polling, pollReadable } from "./poll.ts";
import { netlinkAddress } from "./socket-address.ts";

const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
/** Port notifications of bridges: about the port, not the whole link. */
const AF_BRIDGE = 7;

export type LinkEvent =
  | { readonly type: "changed" | "deleted"; readonly link: LinkInfo }
  /** Some were lost: read the links anew. */
  | { readonly type: "lost" };

/** A socket that hears of links; the caller's to close. */
export function openLinkSocket(netns: string): number {
  return inNetns(netns, () => {
    const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE, "an rtnetlink socket");
    bindSocket(fd, netlinkAddress(RTMGRP_LINK), "link notifications");
    return fd;
  });
}

export function watchLinkSocket(fd: number, onEvent: (event: LinkEvent) => void): Polling {
  const buffer = new Uint8Array(65_536);
  return pollReadable(fd, (errno) => {
    if (errno !== 0) onEvent({ type: "lost" });
    for (;;) {
      const received = recv(fd, buffer, 0);
      if (received === -EAGAIN) return;
      if (received === -ENOBUFS) onEvent({ type: "lost" });
      else if (received < 0) {
        throw new KernelError({ errno: -received, operation: "hear of", object: "link changes" });
      } else for (const event of linkEvents(buffer.slice(0, received))) onEvent(event);
    }
  });
}

function linkEvents(datagram: Uint8Array): readonly LinkEvent[] {
  return decodeMessages(datagram).flatMap(({ type, payload }): readonly LinkEvent[] => {
    const about = type === RTM_NEWLINK || type === RTM_DELLINK;
    if (!about || payload[0] === AF_BRIDGE) return [];
    return [{ type: type === RTM_NEWLINK ? "changed" : "deleted", link: decodeLink(payload) }];
  });
}
