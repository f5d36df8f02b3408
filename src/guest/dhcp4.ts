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
 */
import { cidrIp } from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import { sameBytes, u32 } from "../wire/bytes.ts";
import { BOOTREQUEST, DHCP4_SERVER_PORT, type Dhcp4Message, decodeDhcp4 } from "../wire/dhcp4.ts";
import {
  DECLINE,
  DISCOVER,
  INFORM,
  MESSAGE_TYPE,
  RAPID_COMMIT,
  RELEASE,
  REQUEST,
  REQUESTED_ADDRESS,
} from "../wire/dhcp4-options.ts";
import { decodeEthernet, ETHERTYPE_IPV4, etherTypeOf } from "../wire/ethernet.ts";
import { decodeIpv4, IP4_ANY, IP4_BROADCAST, ip4ToNumber, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { decodeUdp } from "../wire/udp.ts";
import type { Dhcp4Config } from "./config.ts";
import { broadcastAddress } from "./dhcp4-offer.ts";
import { type Received, type Reply, replyWriter } from "./dhcp4-reply.ts";
import { type Answer, type GuestFact, type Refusal, type Responder, refuse } from "./responder.ts";

type Verdict = Reply | "released" | "declined" | Refusal;

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

/** Facts name the MAC as text; a guest has one, so the last one is remembered. */
function factMaker(config: Dhcp4Config): {
  lease(mac: Uint8Array, nowMs: number): GuestFact;
  end(kind: "released" | "declined", mac: Uint8Array): GuestFact;
} {
  const ip = cidrIp(config.lease);
  let lastBytes: Uint8Array = new Uint8Array(0);
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
