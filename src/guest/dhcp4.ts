/**
 * DHCPv4 for one guest (RFC 2131): one address, always the same one.
 *
 * Theory of operation
 *
 *   DISCOVER                          OFFER; with rapid commit (RFC 4039) ACK
 *   REQUEST for our address           ACK, whichever server it names
 *   REQUEST for no address            ACK: the client takes the one it is told
 *   REQUEST for another address       NAK: there is one right address here, and a client that keeps another one is
 *                                     cut off; told so, it starts again at once (RFC 2131, 4.3.2)
 *   INFORM                            ACK without lease
 *   RELEASE, DECLINE                  noted; the address stays the guest's, nobody else could have it
 *
 * "For" means option 50 while selecting and after a reboot, `ciaddr` while renewing and rebinding. KubeVirt answers
 * every REQUEST with ACK (quirk Q6). That is kept where the client ends up right. It differs from the RFC where a
 * REQUEST names another server: the RFC is silent, but nobody else may answer at this door, and after a migration or
 * a restart the other server may be our own former name.
 *
 * Where answers go: by Ethernet always to the sender or to everybody. By IP to the relay (`giaddr`), else to
 * `ciaddr`, else to everybody if the client wants that or gets a NAK, else to the address just given (4.1).
 *
 * Size: at most what option 57 says (its least value is 576), at most the MTU, at most 1500. Clients without option 57 get
 * everything that fits the MTU, as in KubeVirt; the small ones all send it.
 */
import { cidrIp, familyOf, parseIp } from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import { concatBytes, sameBytes, u16, u32 } from "../wire/bytes.ts";
import {
  BOOTREPLY,
  BOOTREQUEST,
  BROADCAST_FLAG,
  DHCP4_CLIENT_PORT,
  DHCP4_MIN_LENGTH,
  DHCP4_OPTIONS_AT,
  DHCP4_SERVER_PORT,
  type Dhcp4Message,
  decodeDhcp4,
  encodeOptions,
  writeDhcp4Header,
} from "../wire/dhcp4.ts";
import {
  ACK,
  addressList,
  CLIENT_ID,
  DECLINE,
  DISCOVER,
  END,
  INFORM,
  LEASE_SECONDS,
  MAX_MESSAGE_SIZE,
  MESSAGE_TEXT,
  MESSAGE_TYPE,
  NAK,
  OFFER,
  RAPID_COMMIT,
  RELEASE,
  REQUEST,
  REQUESTED_ADDRESS,
  SERVER_ID,
} from "../wire/dhcp4-options.ts";
import { BROADCAST_MAC, decodeEthernet, ETHERTYPE_IPV4, etherTypeOf } from "../wire/ethernet.ts";
import { decodeIpv4, IP4_ANY, IP4_BROADCAST, IPV4_HEADER, ip4ToNumber, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { decodeUdp, encodeUdp4Frame, UDP_HEADER } from "../wire/udp.ts";
import type { Dhcp4Config } from "./config.ts";
import { broadcastAddress, leaseTime, offeredOptions } from "./dhcp4-offer.ts";
import { type Answer, type GuestFact, type Refusal, type Responder, refuse } from "./responder.ts";

const HEADERS = IPV4_HEADER + UDP_HEADER;
/** What every client must take (RFC 2131, 2), headers included. */
const LEAST_MESSAGE = 576;
/** Jumbo frames are no reason to surprise a client with one. */
const MOST_MESSAGE = 1500;
/** Longer client identifiers are not echoed, so that they cannot push options out. */
const CLIENT_ID_ECHO_MAX = 64;

type Verdict = "offer" | "ack" | "rapid-ack" | "inform-ack" | "nak" | "released" | "declined" | Refusal;
type Reply = "offer" | "ack" | "rapid-ack" | "inform-ack" | "nak";

/** A request, taken out of its frame. */
interface Received {
  readonly mac: Uint8Array;
  readonly source: number;
  readonly message: Dhcp4Message;
}

export function dhcp4Responder(config: Dhcp4Config): Responder {
  const replies = replyWriter(config);
  const own = ownAddresses(config);
  const clientMac = config.clientMac === undefined ? undefined : macToBytes(config.clientMac);
  const fact = factMaker(config);

  return {
    type: "dhcp4",
    notes: replies.notes,
    answer(frame, nowMs) {
      const received = readRequest(frame, own);
      if (received === undefined) return undefined;
      if (typeof received === "string") return refuse(received);
      const { message } = received;
      if (clientMac !== undefined && !sameBytes(message.chaddr.subarray(0, 6), clientMac)) {
        return refuse("other-client");
      }
      const verdict = judge(message, own.lease);
      return answerTo(verdict, received, nowMs);
    },
  };

  function answerTo(verdict: Verdict, received: Received, nowMs: number): Answer {
    switch (verdict) {
      case "ack":
      case "rapid-ack":
        return { frames: [replies.frame(verdict, received)], fact: fact.lease(received.mac, nowMs) };
      case "offer":
      case "inform-ack":
      case "nak":
        return { frames: [replies.frame(verdict, received)] };
      case "released":
      case "declined":
        return { frames: [], fact: fact.end(verdict, received.mac), refusal: "no-answer-due" };
      default:
        return refuse(verdict);
    }
  }
}

interface OwnAddresses {
  readonly lease: number;
  readonly server: number;
  readonly broadcast: number;
}

function ownAddresses(config: Dhcp4Config): OwnAddresses {
  return {
    lease: ip4ToNumber(cidrIp(config.lease)),
    server: ip4ToNumber(config.serverIp),
    broadcast: ip4ToNumber(broadcastAddress(config)),
  };
}

/** Undefined for what is not UDP to port 67; a refusal for what is and cannot be answered. */
function readRequest(frame: Uint8Array, own: OwnAddresses): Received | Refusal | undefined {
  if (etherTypeOf(frame) !== ETHERTYPE_IPV4) return undefined;
  const ethernet = decodeEthernet(frame);
  if (typeof ethernet === "string") return ethernet;
  const ip = decodeIpv4(ethernet.payload);
  if (typeof ip === "string") return ip;
  if (ip.protocol !== PROTOCOL_UDP) return undefined;
  const udp = decodeUdp(ip.payload);
  if (typeof udp === "string") return udp;
  if (udp.destinationPort !== DHCP4_SERVER_PORT) return undefined;
  const { destination } = ip;
  if (destination !== IP4_BROADCAST && destination !== own.server && destination !== own.broadcast) {
    return "other-destination";
  }
  const message = decodeDhcp4(udp.payload);
  if (typeof message === "string") return message;
  if (message.op !== BOOTREQUEST) return "not-a-request";
  return { mac: ethernet.source, source: ip.source, message };
}

function judge(message: Dhcp4Message, lease: number): Verdict {
  const type = message.options.get(MESSAGE_TYPE);
  if (type?.length !== 1) return "missing-option";
  switch (type[0]) {
    case DISCOVER:
      return message.options.has(RAPID_COMMIT) ? "rapid-ack" : "offer";
    case REQUEST: {
      const wanted = requestedAddress(message);
      return wanted === IP4_ANY || wanted === lease ? "ack" : "nak";
    }
    case INFORM:
      return "inform-ack";
    case RELEASE:
      return "released";
    case DECLINE:
      return "declined";
    default:
      return "not-a-request";
  }
}

/** The address that the client has or wants; `ciaddr` counts first: who fills it in is using it (4.3.6). */
function requestedAddress(message: Dhcp4Message): number {
  if (message.ciaddr !== IP4_ANY) return message.ciaddr;
  const requested = message.options.get(REQUESTED_ADDRESS);
  return requested?.length === 4 ? u32(requested, 0) : IP4_ANY;
}

interface ReplyWriter {
  readonly notes: readonly string[];
  frame(reply: Reply, received: Received): Uint8Array;
}

function replyWriter(config: Dhcp4Config): ReplyWriter {
  const serverMac = macToBytes(config.serverMac);
  const server = ip4ToNumber(config.serverIp);
  const lease = ip4ToNumber(cidrIp(config.lease));
  const heads = replyHeads(config);
  const boot = bootFields(config);
  const mostBytes = Math.min(Math.max(config.mtu, LEAST_MESSAGE), MOST_MESSAGE);
  const fixed = HEADERS + DHCP4_OPTIONS_AT + 1;
  const options = offeredOptions(config, mostBytes - fixed - heads.offer.length);

  return {
    notes: options.notes,
    frame(reply, received) {
      const { message } = received;
      const head = heads[reply];
      const echo = clientIdEcho(message);
      const room = Math.min(messageLimit(message), mostBytes) - fixed - head.length - echo.length;
      const offered = reply === "nak" ? NOTHING : options.fit(room);
      const end = DHCP4_OPTIONS_AT + head.length + offered.length + echo.length;
      const payload = new Uint8Array(Math.max(DHCP4_MIN_LENGTH, end + 1));
      const given = reply === "nak" || reply === "inform-ack" ? IP4_ANY : lease;
      writeDhcp4Header(payload, {
        ...(reply === "nak" ? NO_BOOT_FIELDS : boot),
        op: BOOTREPLY,
        htype: message.htype,
        hlen: message.hlen,
        hops: 0,
        xid: message.xid,
        secs: 0,
        // A relay must broadcast a NAK, and learns it from the flag (4.3.2).
        flags: reply === "nak" && message.giaddr !== IP4_ANY ? message.flags | BROADCAST_FLAG : message.flags,
        ciaddr: reply === "nak" || reply === "offer" ? IP4_ANY : message.ciaddr,
        yiaddr: given,
        giaddr: message.giaddr,
        chaddr: message.chaddr,
      });
      payload.set(head, DHCP4_OPTIONS_AT);
      payload.set(offered, DHCP4_OPTIONS_AT + head.length);
      payload.set(echo, end - echo.length);
      payload[end] = END;
      const destination = destinationOf(reply, received, given);
      return encodeUdp4Frame(
        {
          sourceMac: serverMac,
          destinationMac: destination === IP4_BROADCAST ? BROADCAST_MAC : received.mac,
          source: server,
          destination,
          sourcePort: DHCP4_SERVER_PORT,
          destinationPort: message.giaddr === IP4_ANY ? DHCP4_CLIENT_PORT : DHCP4_SERVER_PORT,
        },
        payload,
      );
    },
  };
}

const NOTHING = new Uint8Array(0);

/** What each kind of reply begins its options with: never left out. */
function replyHeads(config: Dhcp4Config): Readonly<Record<Reply, Uint8Array>> {
  const server = [SERVER_ID, addressList([config.serverIp])] as const;
  const time = [LEASE_SECONDS, leaseTime(config.leaseSeconds)] as const;
  const type = (code: number) => [MESSAGE_TYPE, Uint8Array.of(code)] as const;
  const text = new TextEncoder().encode(`the address here is ${cidrIp(config.lease)}`);
  return {
    offer: encodeOptions([type(OFFER), server, time]),
    ack: encodeOptions([type(ACK), server, time]),
    "rapid-ack": encodeOptions([type(ACK), server, time, [RAPID_COMMIT, NOTHING]]),
    "inform-ack": encodeOptions([type(ACK), server]),
    nak: encodeOptions([type(NAK), server, [MESSAGE_TEXT, text]]),
  };
}

interface BootFields {
  readonly siaddr: number;
  readonly sname: Uint8Array;
  readonly file: Uint8Array;
}

const NO_BOOT_FIELDS: BootFields = { siaddr: 0, sname: NOTHING, file: NOTHING };

/**
 * Old network boot code reads the BOOTP fields and not options 66 and 67. The fields are filled where they can hold
 * the values, final zero included; next-server only where the TFTP server is named by its address.
 */
function bootFields(config: Dhcp4Config): BootFields {
  const field = (text: string | undefined, size: number) => {
    const bytes = new TextEncoder().encode(text ?? "");
    return bytes.length < size ? bytes : NOTHING;
  };
  const server = parseIp(config.tftpServerName ?? "");
  return {
    siaddr: server !== undefined && familyOf(server) === 4 ? ip4ToNumber(server) : IP4_ANY,
    sname: field(config.tftpServerName, 64),
    file: field(config.bootFileName, 128),
  };
}

/** RFC 6842: a server returns the identifier. */
function clientIdEcho(message: Dhcp4Message): Uint8Array {
  const id = message.options.get(CLIENT_ID);
  if (id === undefined || id.length === 0 || id.length > CLIENT_ID_ECHO_MAX) return NOTHING;
  return concatBytes([Uint8Array.of(CLIENT_ID, id.length), id]);
}

function messageLimit(message: Dhcp4Message): number {
  const limit = message.options.get(MAX_MESSAGE_SIZE);
  return limit?.length === 2 ? Math.max(u16(limit, 0), LEAST_MESSAGE) : Number.POSITIVE_INFINITY;
}

function destinationOf(reply: Reply, { message, source }: Received, given: number): number {
  if (message.giaddr !== IP4_ANY) return message.giaddr;
  if (reply === "nak") return IP4_BROADCAST;
  if (message.ciaddr !== IP4_ANY) return message.ciaddr;
  if (reply === "inform-ack") return source === IP4_ANY ? IP4_BROADCAST : source;
  return (message.flags & BROADCAST_FLAG) !== 0 ? IP4_BROADCAST : given;
}

/** Facts name the MAC as text; a guest has one, so the last one is remembered. */
function factMaker(config: Dhcp4Config): {
  lease(mac: Uint8Array, nowMs: number): GuestFact;
  end(kind: "released" | "declined", mac: Uint8Array): GuestFact;
} {
  const ip = cidrIp(config.lease);
  let lastBytes: Uint8Array = NOTHING;
  let lastText = "" as Mac;
  const textOf = (mac: Uint8Array): Mac => {
    if (!sameBytes(mac, lastBytes)) {
      lastBytes = mac.slice();
      lastText = macFromBytes(mac);
    }
    return lastText;
  };
  return {
    lease: (mac, nowMs) => ({
      kind: "lease",
      via: "dhcp4",
      mac: textOf(mac),
      ip,
      untilMs: nowMs + config.leaseSeconds * 1000,
    }),
    end: (kind, mac) => ({ kind, via: "dhcp4", mac: textOf(mac), ip }),
  };
}
