/**
 * Asks a link's neighbours for their MACs, and waits: a few milliseconds where they answer.
 *
 * Theory of operation. The questions are frames of our own on a packet socket, not the kernel's: that works from the
 * moment an address was added, while the kernel would first have to prove it unique, and it leaves no trace in the
 * neighbour table. Questions are repeated, since a port or a peer may have been a moment late.
 *
 * IPv6 routers are known to hosts by their link-local addresses only (RFC 4861, 4.2). For a gateway that is told by a
 * global one, the link-local one that its MAC suggests is asked too, and believed if the same MAC answers.
 *
 * Of the calling thread's namespace; nothing here fails for a network's silence.
 */
import { closeSync } from "node:fs";
import {
  type Cidr,
  cidrContains,
  cidrIp,
  eui64,
  familyOf,
  type Ip,
  ipFromBytes,
  ipToBytes,
} from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import type { ObservedNeighbour } from "../plan/observed.ts";
import { decodeArpAnswer, encodeArpQuestion } from "../wire/arp.ts";
import { decodeNeighbourAnswer, encodeNeighbourQuestion } from "../wire/neighbour-discovery.ts";
import { EAGAIN } from "./errno.ts";
import { AF_PACKET, recv, SOCK_NONBLOCK, SOCK_RAW, setSocketOption, socket, waitReadable } from "./libc.ts";
import { readLinks } from "./links.ts";
import { bindPacketSocket, ETH_P_ALL, sendFrame } from "./packet-socket.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

const WAIT_MILLISECONDS = 150;
/** For a guess: whoever has just answered would answer at once. */
const GUESS_MILLISECONDS = 40;
const REPEAT_MILLISECONDS = 20;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const OBJECT = "a packet socket";
const LINK_LOCAL = "fe80::" as Ip;

/** Longer than any answer. */
const buffer = new Uint8Array(2048);

interface Asker {
  readonly fd: number;
  readonly mac: Uint8Array;
  readonly addresses: readonly Cidr[];
}

export function resolveNeighbours(
  rtnetlink: Rtnetlink,
  link: string,
  ips: readonly Ip[],
): readonly ObservedNeighbour[] {
  const there = readLinks(rtnetlink).find(({ name }) => name === link);
  if (there?.mac === undefined || !there.up || ips.length === 0) return [];
  const fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0, OBJECT);
  try {
    setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, OBJECT);
    bindPacketSocket(fd, there.index, ETH_P_ALL);
    const asker = { fd, mac: macToBytes(there.mac), addresses: there.addresses };
    const found = ask(asker, ips, WAIT_MILLISECONDS);
    const guesses = new Map(
      [...found]
        .filter(([ip]) => familyOf(ip) === 6 && !isLinkLocal(ip))
        .map(([, mac]) => [eui64(LINK_LOCAL, macToBytes(mac)), mac])
        .filter(([ip]) => !found.has(ip as Ip)) as [Ip, Mac][],
    );
    const confirmed = ask(asker, [...guesses.keys()], GUESS_MILLISECONDS);
    return [...found, ...[...confirmed].filter(([ip, mac]) => guesses.get(ip) === mac)].map(([ip, mac]) => ({
      link,
      ip,
      mac,
      permanent: false,
    }));
  } finally {
    closeSync(fd);
  }
}

/** Until all have answered, or the time is over. */
function ask(asker: Asker, ips: readonly Ip[], milliseconds: number): ReadonlyMap<Ip, Mac> {
  const found = new Map<Ip, Mac>();
  const missing = (): readonly Ip[] => ips.filter((ip) => !found.has(ip));
  const end = performance.now() + milliseconds;
  for (let now = performance.now(); missing().length > 0 && now < end; now = performance.now()) {
    for (const ip of missing()) sendFrame(asker.fd, questionFor(asker, ip));
    const repeat = Math.min(end, now + REPEAT_MILLISECONDS);
    listen(asker.fd, repeat, (ip, mac) => {
      if (ips.includes(ip)) found.set(ip, mac);
      return missing().length === 0;
    });
  }
  return found;
}

/** @param heard true when enough was heard */
function listen(fd: number, until: number, heard: (ip: Ip, mac: Mac) => boolean): void {
  for (let left = until - performance.now(); left > 0; left = until - performance.now()) {
    if (!waitReadable(fd, Math.ceil(left))) return;
    const received = recv(fd, buffer, 0);
    if (received === -EAGAIN) continue;
    // The link went down.
    if (received < 0) return;
    const frame = buffer.subarray(0, received);
    const arp = decodeArpAnswer(frame);
    const answer = typeof arp === "string" ? decodeNeighbourAnswer(frame) : arp;
    if (typeof answer !== "string" && heard(ipFromBytes(answer.ip), macFromBytes(answer.mac))) return;
  }
}

function questionFor({ mac, addresses }: Asker, target: Ip): Uint8Array {
  const family = familyOf(target);
  const own = addresses.filter((address) => familyOf(address) === family);
  const near = own.find((address) => cidrContains(address, target));
  const from = near ?? own.find((address) => isLinkLocal(cidrIp(address)) === isLinkLocal(target)) ?? own[0];
  const source = from === undefined ? new Uint8Array(family === 4 ? 4 : 16) : ipToBytes(cidrIp(from));
  return family === 4
    ? encodeArpQuestion({ sourceMac: mac, sourceIp: source, target: ipToBytes(target) })
    : encodeNeighbourQuestion({ sourceMac: mac, source, target: ipToBytes(target) });
}

function isLinkLocal(ip: Ip): boolean {
  return ip.startsWith("fe80:");
}
