/** A router of the network's own, heard by a pod before podtap comes. */
import { closeSync } from "node:fs";
import { type Ip, ipToBytes } from "../../src/base/ip.ts";
import { type Mac, macToBytes } from "../../src/base/mac.ts";
import { bindPacketSocket, ETH_P_ALL, openPacketSocket, sendFrame } from "../../src/linux/packet-socket.ts";
import { multicastMac6 } from "../../src/wire/ethernet.ts";
import { encodeIcmp6Frame, encodeRouterAdvert } from "../../src/wire/icmpv6.ts";
import { ALL_NODES } from "../../src/wire/ipv6.ts";
import type { TestPod } from "./netns.ts";

export const ROUTER = { mac: "02:00:00:00:f0:01" as Mac, linkLocal: "fe80::f0:1" as Ip, prefix: "fdbe::" };

/** One advertisement: a default route, and a prefix to make addresses of. */
export function advertise(from: TestPod, link: string): void {
  const fd = openPacketSocket(from.path);
  try {
    bindPacketSocket(fd, Number(from.run("cat", `/sys/class/net/${link}/ifindex`)), ETH_P_ALL);
    const sourceMac = macToBytes(ROUTER.mac);
    const message = encodeRouterAdvert({
      hopLimit: 64,
      managed: false,
      otherConfig: false,
      routerLifetimeSeconds: 1800,
      sourceMac,
      prefixes: [
        {
          prefix: ipToBytes(ROUTER.prefix as Ip),
          length: 64,
          onLink: true,
          autonomous: true,
          validSeconds: 3600,
          preferredSeconds: 1800,
        },
      ],
      nameservers: [],
      searchDomains: [],
      dnsSeconds: 0,
    });
    const envelope = {
      sourceMac,
      destinationMac: multicastMac6(ALL_NODES),
      source: ipToBytes(ROUTER.linkLocal),
      destination: ALL_NODES,
    };
    sendFrame(fd, encodeIcmp6Frame(envelope, message));
  } finally {
    closeSync(fd);
  }
}

/** Until the pod has the address and the route; it hears nothing while its link comes up. */
export function advertiseTo(pod: TestPod, from: TestPod, link: string): void {
  const deadline = performance.now() + 10_000;
  const has = (): boolean =>
    pod.run("ip", "-6", "route", "show", "default", "proto", "ra").includes(ROUTER.linkLocal) &&
    pod.run("ip", "-6", "address", "show", "to", `${ROUTER.prefix}/64`, "-tentative").includes(ROUTER.prefix);
  while (!has()) {
    if (performance.now() > deadline) throw new Error("the pod does not hear its router");
    advertise(from, link);
  }
}
