/**
 * DHCPv6 for one guest (RFC 8415): one address, always the same one, without a table of leases.
 *
 * Theory of operation
 *
 *   SOLICIT                  ADVERTISE with preference 255, so that the client does not wait for others (18.2.1);
 *                            with rapid commit REPLY
 *   REQUEST                  REPLY with our address, whatever address was asked for
 *   RENEW, REBIND            REPLY with our address; other ones the client still has get lifetimes of zero (18.3.4)
 *   CONFIRM                  Success if all addresses are ours, else NotOnLink: the client starts again
 *   RELEASE, DECLINE         noted; Success, and NoBinding for what is not ours
 *   INFORMATION-REQUEST      REPLY with DNS only
 *
 * The address goes to one identity association: the IA_NA that names it already, else the first. The other IA_NA,
 * IA_TA and IA_PD are answered with the status that says so, up to a bound that keeps the answer in one packet.
 * Messages that name another server, or lack or have an identifier against the RFC's table (16), get no answer.
 * The option request list is ignored, as in KubeVirt: DNS servers and search list are always sent.
 * T1 and T2 are zero, which leaves renewing to the client.
 */
import { ipToBytes } from "../base/ip.ts";
import { macFromBytes, macToBytes } from "../base/mac.ts";
import { concatBytes, sameBytes } from "../wire/bytes.ts";
import {
  ADVERTISE,
  CONFIRM,
  DECLINE6,
  DHCP6_CLIENT_PORT,
  DHCP6_SERVER_PORT,
  type Dhcp6Message,
  type Dhcp6Option,
  decodeDhcp6,
  duidLinkLayer,
  encodeDhcp6,
  encodeStatus,
  findOption6,
  INFORMATION_REQUEST,
  OPT_CLIENT_ID,
  OPT_DNS_SERVERS,
  OPT_DOMAIN_LIST,
  OPT_IA_NA,
  OPT_IA_PD,
  OPT_IA_TA,
  OPT_PREFERENCE,
  OPT_RAPID_COMMIT,
  OPT_SERVER_ID,
  OPT_STATUS,
  REBIND,
  RELEASE6,
  RENEW,
  REPLY,
  REQUEST6,
  SOLICIT,
  STATUS_NOT_ON_LINK,
  STATUS_SUCCESS,
} from "../wire/dhcp6.ts";
import { decodeEthernet, ETHERTYPE_IPV6, etherTypeOf } from "../wire/ethernet.ts";
import { ALL_DHCP, decodeIpv6, NEXT_HEADER_UDP } from "../wire/ipv6.ts";
import { decodeUdp, encodeUdp6Frame } from "../wire/udp.ts";
import type { Dhcp6Config } from "./config.ts";
import { type AssociationWriter, associationWriter } from "./dhcp6-associations.ts";
import { type DnsLists, dnsLists } from "./dns-lists.ts";
import { type Answer, type GuestFact, type Refusal, type Responder, refuse } from "./responder.ts";

/** Longer ones are no DUIDs (11.1). */
const DUID_MAX = 130;

interface Received {
  readonly mac: Uint8Array;
  readonly source: Uint8Array;
  readonly message: Dhcp6Message;
  readonly clientId: Uint8Array | undefined;
}

interface Server {
  readonly config: Dhcp6Config;
  readonly mac: Uint8Array;
  readonly linkLocal: Uint8Array;
  readonly duid: Uint8Array;
  readonly dns: readonly Dhcp6Option[];
  readonly associations: AssociationWriter;
}

/** What the reply says, and whether the guest holds the address after it. */
interface Reply {
  readonly type: number;
  readonly options: readonly Dhcp6Option[];
  readonly fact?: GuestFact["kind"];
}

export function dhcp6Responder(config: Dhcp6Config): Responder {
  const lists = dnsLists(config.nameservers, config.searchDomains);
  const mac = macToBytes(config.serverMac);
  const server: Server = {
    config,
    mac,
    linkLocal: ipToBytes(config.serverLinkLocal),
    duid: duidLinkLayer(mac),
    dns: dnsOptions(lists),
    associations: associationWriter(ipToBytes(config.leaseIp), config.leaseSeconds),
  };
  return {
    type: "dhcp6",
    notes: lists.notes,
    answer(frame, nowMs) {
      const received = readRequest(frame, server);
      if (received === undefined) return undefined;
      if (typeof received === "string") return refuse(received);
      const reply = replyTo(received, server);
      return typeof reply === "string" ? refuse(reply) : answerWith(reply, received, server, nowMs);
    },
  };
}

/** Undefined for what is not UDP to port 547; a refusal for what is and cannot be answered. */
function readRequest(frame: Uint8Array, server: Server): Received | Refusal | undefined {
  if (etherTypeOf(frame) !== ETHERTYPE_IPV6) return undefined;
  const ethernet = decodeEthernet(frame);
  if (typeof ethernet === "string") return ethernet;
  const ip = decodeIpv6(ethernet.payload);
  if (typeof ip === "string") return ip;
  if (ip.nextHeader !== NEXT_HEADER_UDP) return undefined;
  const udp = decodeUdp(ip.payload);
  if (typeof udp === "string") return udp;
  if (udp.destinationPort !== DHCP6_SERVER_PORT) return undefined;
  // Unicast only where a server has invited it, which this one does not (16): it is for somebody else.
  if (!sameBytes(ip.destination, ALL_DHCP)) return "other-destination";
  // Clients speak from a link-local address (13.1, 18.2).
  if (!isLinkLocal(ip.source)) return "bad-header";
  const message = decodeDhcp6(udp.payload);
  if (typeof message === "string") return message;
  return (
    checkIdentifiers(message, server.duid) ?? {
      mac: ethernet.source,
      source: ip.source,
      message,
      clientId: findOption6(message.options, OPT_CLIENT_ID),
    }
  );
}

/** Which identifiers a message must and must not have: RFC 8415, 16.2 to 16.12. */
const SERVER_ID_RULE: ReadonlyMap<number, "must" | "may" | "must-not"> = new Map([
  [SOLICIT, "must-not"],
  [REQUEST6, "must"],
  [CONFIRM, "must-not"],
  [RENEW, "must"],
  [REBIND, "must-not"],
  [RELEASE6, "must"],
  [DECLINE6, "must"],
  [INFORMATION_REQUEST, "may"],
]);

function checkIdentifiers(message: Dhcp6Message, duid: Uint8Array): Refusal | undefined {
  const rule = SERVER_ID_RULE.get(message.type);
  if (rule === undefined) return "not-a-request";
  const client = findOption6(message.options, OPT_CLIENT_ID);
  if (client === undefined && message.type !== INFORMATION_REQUEST) return "missing-option";
  if (client !== undefined && (client.length === 0 || client.length > DUID_MAX)) return "bad-length";
  const server = findOption6(message.options, OPT_SERVER_ID);
  if (server === undefined) return rule === "must" ? "missing-option" : undefined;
  if (rule === "must-not") return "forbidden-option";
  return sameBytes(server, duid) ? undefined : "other-server";
}

function replyTo({ message }: Received, server: Server): Reply | Refusal {
  const { associations, dns } = server;
  switch (message.type) {
    case SOLICIT: {
      const given = associations.assign(message.options);
      if (typeof given === "string") return given;
      return findOption6(message.options, OPT_RAPID_COMMIT) === undefined
        ? { type: ADVERTISE, options: [PREFERENCE_MOST, ...given.options, ...dns] }
        : { type: REPLY, options: [RAPID_COMMIT, ...given.options, ...dns], ...leased(given.hasAddress) };
    }
    case REQUEST6: {
      const given = associations.assign(message.options);
      if (typeof given === "string") return given;
      return { type: REPLY, options: [...given.options, ...dns], ...leased(given.hasAddress) };
    }
    case RENEW:
    case REBIND: {
      const given = associations.extend(message.options);
      if (typeof given === "string") return given;
      return { type: REPLY, options: [...given.options, ...dns], ...leased(given.hasAddress) };
    }
    case CONFIRM: {
      const onLink = associations.confirm(message.options);
      if (typeof onLink === "string") return onLink;
      const status = onLink
        ? statusOption(STATUS_SUCCESS, "the addresses are right here")
        : statusOption(STATUS_NOT_ON_LINK, `the address here is ${server.config.leaseIp}`);
      return { type: REPLY, options: [status, ...dns], ...leased(onLink) };
    }
    case RELEASE6:
    case DECLINE6: {
      const ended = associations.end(message.options);
      if (typeof ended === "string") return ended;
      const fact = message.type === RELEASE6 ? "released" : "declined";
      return {
        type: REPLY,
        options: [statusOption(STATUS_SUCCESS, ""), ...ended.options],
        ...(ended.hasAddress && { fact }),
      };
    }
    default:
      return informationReply(message, dns);
  }
}

/** An information request asks for no address; one that does is thrown away (16.12). */
function informationReply(message: Dhcp6Message, dns: readonly Dhcp6Option[]): Reply | Refusal {
  const hasAssociation = message.options.some(({ code }) => [OPT_IA_NA, OPT_IA_TA, OPT_IA_PD].includes(code));
  return hasAssociation ? "forbidden-option" : { type: REPLY, options: dns };
}

function leased(hasAddress: boolean): { fact?: "lease" } {
  return hasAddress ? { fact: "lease" } : {};
}

function answerWith(reply: Reply, received: Received, server: Server, nowMs: number): Answer {
  const payload = encodeDhcp6({
    type: reply.type,
    transactionId: received.message.transactionId,
    options: [
      ...(received.clientId ? [{ code: OPT_CLIENT_ID, value: received.clientId }] : []),
      { code: OPT_SERVER_ID, value: server.duid },
      ...reply.options,
    ],
  });
  const frame = encodeUdp6Frame(
    {
      sourceMac: server.mac,
      destinationMac: received.mac,
      source: server.linkLocal,
      destination: received.source,
      sourcePort: DHCP6_SERVER_PORT,
      destinationPort: DHCP6_CLIENT_PORT,
    },
    payload,
  );
  if (reply.fact === undefined) return { frames: [frame] };
  return { frames: [frame], fact: factOf(reply.fact, received.mac, server.config, nowMs) };
}

function factOf(kind: GuestFact["kind"], bytes: Uint8Array, config: Dhcp6Config, nowMs: number): GuestFact {
  const who = { via: "dhcp6", mac: macFromBytes(bytes), ip: config.leaseIp } as const;
  return kind === "lease" ? { kind, ...who, untilMs: nowMs + config.leaseSeconds * 1000 } : { kind, ...who };
}

const PREFERENCE_MOST: Dhcp6Option = { code: OPT_PREFERENCE, value: Uint8Array.of(255) };
const RAPID_COMMIT: Dhcp6Option = { code: OPT_RAPID_COMMIT, value: new Uint8Array(0) };

function statusOption(code: number, text: string): Dhcp6Option {
  return { code: OPT_STATUS, value: encodeStatus(code, text) };
}

function dnsOptions({ nameservers, searchDomains }: DnsLists): readonly Dhcp6Option[] {
  return [
    ...(nameservers.length > 0 ? [{ code: OPT_DNS_SERVERS, value: concatBytes(nameservers) }] : []),
    ...(searchDomains.length > 0 ? [{ code: OPT_DOMAIN_LIST, value: concatBytes(searchDomains) }] : []),
  ];
}

function isLinkLocal(address: Uint8Array): boolean {
  return address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;
}
