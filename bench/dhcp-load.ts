/**
 * The load of `bench dhcp`: DHCP exchanges from one packet socket at a fixed rate, open loop (a slow server does not
 * slow the load down). It blocks its thread and polls, because a timer of Node's would be the slowest part.
 */
import { closeSync } from "node:fs";
import { type Mac, macToBytes } from "../src/base/mac.ts";
import { packetPort } from "../src/linux/packet-port.ts";
import { openPacketSocket } from "../src/linux/packet-socket.ts";
import { u32, u32Bytes } from "../src/wire/bytes.ts";
import { BOOTREQUEST, DHCP4_CLIENT_PORT, DHCP4_SERVER_PORT, encodeDhcp4 } from "../src/wire/dhcp4.ts";
import {
  CLIENT_ID,
  DISCOVER,
  MAX_MESSAGE_SIZE,
  MESSAGE_TYPE,
  OFFER,
  PARAMETER_LIST,
  REQUEST,
  REQUESTED_ADDRESS,
  SERVER_ID,
} from "../src/wire/dhcp4-options.ts";
import { BROADCAST_MAC } from "../src/wire/ethernet.ts";
import { encodeUdp4Frame } from "../src/wire/udp.ts";
import { GUEST_LINK } from "./dhcp-door.ts";

export interface LoadResult {
  readonly begun: number;
  readonly seconds: number;
  /** DISCOVERs and REQUESTs sent. */
  readonly requests: number;
  /** One for each answer. */
  readonly latenciesMs: readonly number[];
}

/** Answers later than this count as lost. */
const PATIENCE_MS = 1000;
const GUEST_MAC = macToBytes("52:54:00:12:34:56" as Mac);
/** In the frame: after Ethernet, IPv4 and UDP. */
const PAYLOAD_AT = 42;
const XID_AT = PAYLOAD_AT + 4;
/** Option 53 comes first in what podtap sends and in what is sent here. */
const TYPE_AT = PAYLOAD_AT + 242;
const UDP_CHECKSUM_AT = 40;

export function exchange(guestNetns: string, rate: number, seconds: number): LoadResult {
  const fd = openPacketSocket(guestNetns);
  try {
    packetPort.listen(fd, packetPort.linkIndex(fd, GUEST_LINK), TO_CLIENTS);
    return load(fd, rate, seconds);
  } finally {
    closeSync(fd);
  }
}

function load(fd: number, rate: number, seconds: number): LoadResult {
  const total = Math.round(rate * seconds);
  const discover = request([[MESSAGE_TYPE, Uint8Array.of(DISCOVER)], ...COMMON]);
  const select = request([
    [MESSAGE_TYPE, Uint8Array.of(REQUEST)],
    [REQUESTED_ADDRESS, u32Bytes(0x0a000202)],
    [SERVER_ID, u32Bytes(0x0a000201)],
    ...COMMON,
  ]);
  const discoveredAt = new Float64Array(total);
  const requestedAt = new Float64Array(total);
  const latenciesMs: number[] = [];
  const start = performance.now();
  let begun = 0;
  let requests = 0;
  let lastSend = start;
  let finished = 0;

  function drain(): void {
    for (;;) {
      const frame = packetPort.receive(fd);
      if (frame === undefined) return;
      const now = performance.now();
      const id = u32(frame, XID_AT);
      const isOffer = frame[TYPE_AT] === OFFER;
      const sentAt = (isOffer ? discoveredAt : requestedAt)[id];
      if (sentAt === undefined || sentAt === 0) continue;
      latenciesMs.push(now - sentAt);
      if (isOffer) {
        discoveredAt[id] = 0;
        transmit(fd, select, id);
        requestedAt[id] = performance.now();
        requests += 1;
        lastSend = now;
      } else {
        requestedAt[id] = 0;
        finished += 1;
      }
    }
  }

  while (begun < total) {
    const due = Math.min(total, Math.floor(((performance.now() - start) * rate) / 1000) + 1);
    while (begun < due) {
      discoveredAt[begun] = performance.now();
      transmit(fd, discover, begun);
      begun += 1;
      requests += 1;
      drain();
    }
    drain();
  }
  const elapsed = (performance.now() - start) / 1000;
  lastSend = performance.now();
  while (finished < total && performance.now() - lastSend < PATIENCE_MS) drain();
  return { begun, seconds: elapsed, requests, latenciesMs };
}

/** A changed xid leaves the checksum wrong; zero says that there is none. */
function transmit(fd: number, frame: Uint8Array, xid: number): void {
  frame.set(u32Bytes(xid), XID_AT);
  packetPort.send(fd, frame);
}

const COMMON: readonly (readonly [number, Uint8Array])[] = [
  [MAX_MESSAGE_SIZE, Uint8Array.of(2, 64)],
  [PARAMETER_LIST, Uint8Array.of(1, 3, 6, 12, 15, 26, 28, 42, 119, 121)],
  [CLIENT_ID, Uint8Array.of(1, ...GUEST_MAC)],
];

function request(options: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const chaddr = new Uint8Array(16);
  chaddr.set(GUEST_MAC);
  const payload = encodeDhcp4({
    op: BOOTREQUEST,
    htype: 1,
    hlen: 6,
    hops: 0,
    xid: 0,
    secs: 0,
    flags: 0,
    ciaddr: 0,
    yiaddr: 0,
    siaddr: 0,
    giaddr: 0,
    chaddr,
    sname: new Uint8Array(64),
    file: new Uint8Array(128),
    options: new Map(options),
  });
  const frame = encodeUdp4Frame(
    {
      sourceMac: GUEST_MAC,
      destinationMac: BROADCAST_MAC,
      source: 0,
      destination: 0xffffffff,
      sourcePort: DHCP4_CLIENT_PORT,
      destinationPort: DHCP4_SERVER_PORT,
    },
    payload,
  );
  frame.set([0, 0], UDP_CHECKSUM_AT);
  return frame;
}

/** Passes IPv4 with UDP to port 68 and no other header lengths than the usual one. */
const TO_CLIENTS = [
  { code: 0x28, jt: 0, jf: 0, k: 12 },
  { code: 0x15, jt: 0, jf: 3, k: 0x0800 },
  { code: 0x28, jt: 0, jf: 0, k: 36 },
  { code: 0x15, jt: 0, jf: 1, k: DHCP4_CLIENT_PORT },
  { code: 0x06, jt: 0, jf: 0, k: 0x40000 },
  { code: 0x06, jt: 0, jf: 0, k: 0 },
];
