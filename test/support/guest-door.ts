/**
 * A pod's namespace with the bridge at the guest's door, and a second namespace in the guest's place, so that real
 * DHCP clients can stand where a guest would. The veth's pod end takes the tap's place.
 */
import { closeSync } from "node:fs";
import type { TestContext } from "node:test";
import { BRIDGE_MAC } from "../../src/base/mac.ts";
import type { GuestService } from "../../src/guest/config.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import { type GuestServices, guestServices } from "../../src/vm/guest-services.ts";
import type { GuestLease } from "../../src/vm/launch-spec.ts";
import type { PacketPort } from "../../src/vm/packet-port.ts";
import { allServices, BRIDGE, GUEST_MAC } from "./guest-configs.ts";
import { connect, eventually, type TestPod, testPod } from "./netns.ts";

export const GUEST_LINK = "eth0";
export interface Door {
  readonly pod: TestPod;
  readonly guest: TestPod;
}

/** Bridge, addresses and the cable to the guest; nobody serves yet. */
export function buildDoor(t: Pick<TestContext, "after">): Door {
  const pod = testPod(t, "door");
  const guest = testPod(t, "guest");
  // Real guests wait a second or two for duplicate address detection; that is not what is tested.
  for (const key of ["accept_dad=0", "router_solicitation_delay=0"]) {
    guest.run("sysctl", "-qw", `net.ipv6.conf.default.${key}`);
  }
  connect({ pod, link: "tap0", peer: guest, peerLink: GUEST_LINK });
  pod.run("ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge", "mcast_snooping", "0");
  // Only the bridge speaks IPv6 here: a tap has no stack behind it.
  pod.run("ip", "link", "set", "tap0", "addrgenmode", "none");
  pod.run("ip", "link", "set", "tap0", "master", BRIDGE);
  pod.run("ip", "link", "set", BRIDGE, "addrgenmode", "none");
  pod.run("ip", "link", "set", BRIDGE, "up");
  for (const address of ["10.0.2.1/24", "fd10:0:2::1/120", "fe80::1/64"]) {
    pod.run("ip", "address", "add", address, "dev", BRIDGE, ...(address.includes(":") ? ["nodad"] : []));
  }
  // Down for the change, so that the link-local address is made of the new MAC.
  guest.run("ip", "link", "set", GUEST_LINK, "down");
  guest.run("ip", "link", "set", GUEST_LINK, "address", GUEST_MAC);
  guest.run("ip", "link", "set", GUEST_LINK, "up");
  return { pod, guest };
}

/** Link-local addresses come a moment after the link. */
export async function linkLocalReady({ guest }: Door): Promise<void> {
  await eventually("the guest has a link-local address", () => {
    const text = guest.run("ip", "-6", "address", "show", "dev", GUEST_LINK, "scope", "link");
    return text.includes("fe80") && !text.includes("tentative");
  });
}

export interface ServedDoor extends Door {
  readonly services: GuestServices;
  readonly leases: GuestLease[];
  readonly log: string[];
}

/** The real loop on a real packet socket, in this process. */
export function serveDoor(
  t: Pick<TestContext, "after">,
  services: readonly GuestService[] = allServices(),
): ServedDoor {
  const door = buildDoor(t);
  const links = new Set(services.map(({ link }) => link));
  const descriptors = [...links].map(() => openPacketSocket(door.pod.path));
  const leases: GuestLease[] = [];
  const log: string[] = [];
  // The compiler holds port and implementation together.
  const port: PacketPort = packetPort;
  const server = guestServices({
    port,
    descriptors,
    clock: { now: Date.now },
    log: (line) => log.push(line),
  });
  t.after(() => {
    server.close();
    descriptors.forEach(closeSync);
  });
  server.serve(services, (lease) => leases.push(lease));
  return { ...door, services: server, leases, log };
}
