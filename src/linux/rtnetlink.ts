/** Links, addresses and routes: a netlink socket of the calling thread's namespace. */
import { NETLINK_ROUTE, type NetlinkSocket, openNetlinkSocket } from "./netlink-socket.ts";

export type Rtnetlink = NetlinkSocket;

export function openRtnetlink(): Rtnetlink {
  return openNetlinkSocket(NETLINK_ROUTE);
}
