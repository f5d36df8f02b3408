/** What a hostile guest sends in somebody else's name: each frame must be dropped, and counted. */
import { closeSync } from "node:fs";
import type { Ip } from "../../../src/base/ip.ts";
import type { Mac } from "../../../src/base/mac.ts";
import {
  bindPacketSocket,
  ETH_P_ALL,
  openPacketSocket,
  receiveFrame,
  sendFrame,
} from "../../../src/linux/packet-socket.ts";
import { SPOOF_COUNTERS } from "../../../src/plan/parts/anti-spoof.ts";
import { type FrameCase, guestFrames } from "../frames.ts";
import { eventually } from "../netns.ts";
import { addressesOf, counted, type Guest, isOf, linksIn, type Machine, routesIn } from "./machine.ts";
import { HOST_NETNS, NEIGHBOUR_PORT } from "./segments.ts";
import { ask } from "./sockets.ts";
import { Findings } from "./verdict.ts";

/** Of test/support/frames.ts, by what they forge. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  MAC: ["another MAC"],
  IPv4: ["another IPv4 address"],
  ARP: ["ARP of another's address", "ARP of another's MAC"],
  IPv6: ["another IPv6 address"],
  ND: ["an advertisement of another's address", "an advertisement of the router's address"],
  RA: ["a router advertisement", "a redirect"],
  "DHCP server": ["a DHCP offer", "a DHCPv6 advertisement"],
};
/** Nobody but the one who gives addresses out knows whose they are. */
const OF_ADDRESSES = [
  "another IPv4 address",
  "ARP of another's address",
  "another IPv6 address",
  "an advertisement of another's address",
  "an advertisement of the router's address",
];
const COUNTED_MS = 3000;

/** What of it cannot be judged, for the cell. */
export function notJudged({ segment }: Pick<Machine, "segment">): string | undefined {
  if (segment.addressing === "ipam") return undefined;
  return "forged MACs, router advertisements and DHCP servers; whose the addresses are, only the network knows";
}

/** @throws Unmet naming the kinds that got out, and those that were dropped without being counted */
export async function checkForged(machine: Machine, guest: Guest): Promise<void> {
  const findings = new Findings();
  const cases = casesFor(machine, guest);
  const inside = packetSocket(guest.path, guest.nic);
  const outside = packetSocket(HOST_NETNS, machine.hostLink);
  try {
    const counts = machine.nic.nft.length > 0;
    const uncounted = counts ? await sendAll(machine, cases, inside) : [];
    if (!counts) for (const { frame } of cases) sendFrame(inside, frame);
    // Behind them on the same way: when it is answered, they are through.
    const { families, neighbourIp } = machine.segment;
    await ask(guest.path, neighbourIp[families[0] ?? "v4"], "tcp", NEIGHBOUR_PORT, COUNTED_MS);
    const passed = drain(outside);
    const out = (one: FrameCase): boolean => passed.some((frame) => isSame(frame, one.frame));
    for (const [kind, names] of Object.entries(KINDS)) {
      const mine = cases.filter(({ name }) => names.includes(name));
      findings.expect(!mine.some(out), `forged ${kind} gets out`);
      findings.expect(
        !mine.some((one) => uncounted.includes(one) && !out(one)),
        `forged ${kind} is dropped, but not counted`,
      );
    }
    findings.expect(counts, "nothing gets out under a forged name, but it is not counted");
    findings.conclude();
  } finally {
    closeSync(inside);
    closeSync(outside);
  }
}

function casesFor(machine: Machine, guest: Guest): readonly FrameCase[] {
  const { binding, nic, segment } = machine;
  const router = routesIn(guest.path).find(({ destination }) => destination === "::/0")?.gateway;
  const own = (family: "v4" | "v6"): Ip =>
    addressesOf(guest.path).find((ip) => isOf(ip, family) && !/^(127|fe80)/.test(ip) && ip !== "::1") ??
    UNUSED[family];
  const parties = {
    guest: { mac: nic.mac, v4: own("v4"), v6: own("v6"), linkLocal: linkLocalOf(guest) },
    other: {
      mac: linksIn(segment.neighbour.path).find(({ name }) => name === "eth0")?.mac as Mac,
      ...segment.neighbourIp,
    },
    router: router ?? UNUSED.v6,
  };
  const wanted = Object.values(KINDS).flat();
  const frames = guestFrames(parties).filter(({ name }) => wanted.includes(name));
  if (frames.length !== wanted.length) throw new Error("test/support/frames.ts names its frames otherwise");
  return frames.filter(
    ({ name }) =>
      !(segment.addressing === "dhcp" && OF_ADDRESSES.includes(name)) &&
      // On a segment of its own there is nobody else whom the guest could be.
      !(!binding.traits.layer2 && name === "an advertisement of another's address") &&
      !(router === undefined && name === "an advertisement of the router's address"),
  );
}

const UNUSED = { v4: "192.0.2.1" as Ip, v6: "2001:db8::1" as Ip };

/** Those that no counter counts. */
async function sendAll(
  machine: Machine,
  cases: readonly FrameCase[],
  fd: number,
): Promise<readonly FrameCase[]> {
  const before = counted(machine, SPOOF_COUNTERS);
  for (const { frame } of cases) sendFrame(fd, frame);
  if (await reaches(machine, before + cases.length)) return [];
  const uncounted: FrameCase[] = [];
  for (const one of cases) {
    const now = counted(machine, SPOOF_COUNTERS);
    sendFrame(fd, one.frame);
    if (!(await reaches(machine, now + 1))) uncounted.push(one);
  }
  return uncounted;
}

function reaches(machine: Machine, packets: number): Promise<boolean> {
  return eventually("counted", () => counted(machine, SPOOF_COUNTERS) >= packets, COUNTED_MS).catch(
    () => false,
  );
}

/** What is counted was dropped by the same rule; this finds what passed uncounted. */
function isSame(frame: Uint8Array, sent: Uint8Array): boolean {
  return Buffer.compare(frame.subarray(14, sent.length), sent.subarray(14)) === 0;
}

function linkLocalOf({ path, nic }: Guest): Ip {
  const link = linksIn(path).find(({ name }) => name === nic);
  return (link?.addresses.find((cidr) => cidr.startsWith("fe80:"))?.split("/")[0] ?? UNUSED.v6) as Ip;
}

function drain(fd: number): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = receiveFrame(fd); frame !== undefined; frame = receiveFrame(fd)) frames.push(frame);
  return frames;
}

function packetSocket(netns: string, link: string): number {
  const fd = openPacketSocket(netns);
  bindPacketSocket(fd, linksIn(netns).find(({ name }) => name === link)?.index ?? 0, ETH_P_ALL);
  return fd;
}
