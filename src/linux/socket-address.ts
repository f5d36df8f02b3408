/** `struct sockaddr_*` as bytes: what bind(2) and connect(2) take. Pure. */
import { familyOf, type Ip, ipToBytes } from "../base/ip.ts";
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET } from "./libc.ts";

export function internetAddress(ip: Ip, port: number): Uint8Array {
  const v6 = familyOf(ip) === 6;
  const bytes = new Uint8Array(v6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port, false);
  // sockaddr_in6 has its flow label before the address.
  bytes.set(ipToBytes(ip), v6 ? 8 : 4);
  return bytes;
}

/** @param protocol an EtherType, 3 (ETH_P_ALL) for all */
export function packetAddress(ifindex: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol, false);
  view.setInt32(4, ifindex, true);
  return bytes;
}

/** @param groups bit mask of multicast groups, RTMGRP_* */
export function netlinkAddress(groups: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, groups, true);
  return bytes;
}
