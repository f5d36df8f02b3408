/**
 * What DHCPv4 answers look like and where they go; which answer it is, dhcp4.ts has decided.
 *
 * By Ethernet always to the sender or to everybody. By IP to the relay (`giaddr`), else to `ciaddr`, else to everybody
 * if the client wants that or gets a NAK, else to the address just given (RFC 2131, 4.1).
 *
 * Size: at most what option 57 says (its least value is 576), at most the MTU, at most 1500. Clients without option 57
 * get everything that fits the MTU, as in KubeVirt; the small ones all send it.
 */
import { cidrIp, familyOf, parseIp } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import { u16 } from "../wire/bytes.ts";
import {
  BOOTREPLY,
  BROADCAST_FLAG,
  DHCP4_CLIENT_PORT,
  DHCP4_MIN_LENGTH,
  DHCP4_OPTIONS_AT,
  DHCP4_SERVER_PORT,
  type Dhcp4Message,
  encodeOptions,
  writeDhcp4Header,
} from "../wire/dhcp4.ts";
import {
  ACK,
  addressList,
  CLIENT_ID,
  END,
  LEASE_SECONDS,
  MAX_MESSAGE_SIZE,
  MESSAGE_TEXT,
  MESSAGE_TYPE,
  NAK,
  OFFER,
  RAPID_COMMIT,
  SERVER_ID,
} from "../wire/dhcp4-options.ts";
import { BROADCAST_MAC } from "../wire/ethernet.ts";
import { IP4_ANY, IP4_BROADCAST, IPV4_HEADER, ip4ToNumber } from "../wire/ipv4.ts";
import { encodeUdp4Frame, UDP_HEADER } from "../wire/udp.ts";
import type { Dhcp4Config } from "./config.ts";
import { leaseTime, offeredOptions } from "./dhcp4-offer.ts";

const HEADERS = IPV4_HEADER + UDP_HEADER;
/** What every client must take (RFC 2131, 2), headers included. */
const LEAST_MESSAGE = 576;
/** Jumbo frames are no reason to surprise a client with one. */
const MOST_MESSAGE = 1500;
/** Longer client identifiers are not echoed, so that they cannot push options out. */
const CLIENT_ID_ECHO_MAX = 64;

export type Reply = "offer" | "ack" | "rapid-ack" | "inform-ack" | "nak";

/** A request, taken out of its frame. */
export interface Received {
  readonly mac: Uint8Array;
  readonly source: number;
  readonly message: Dhcp4Message;
}

export interface ReplyWriter {
  readonly notes: readonly string[];
  frame(reply: Reply, received: Received): Uint8Array;
}

export function replyWriter(config: Dhcp4Config): ReplyWriter {
  const serverMac = macToBytes(config.serverMac);
  const server = ip4ToNumber(config.serverIp);
  const lease = ip4ToNumber(cidrIp(config.lease));
  const heads = replyHeads(config);
  const boot = bootFields(config);
  const mostBytes = Math.min(Math.max(config.mtu, LEAST_MESSAGE), MOST_MESSAGE);
  const fixed = HEADERS + DHCP4_OPTIONS_AT + 1;
  const options = offeredOptions(config, mostBytes - fixed - heads.offer.length);

  function write(reply: Reply, message: Dhcp4Message): Uint8Array {
    const head = heads[reply];
    const clientId = echoedClientId(message);
    const echoLength = clientId.length === 0 ? 0 : 2 + clientId.length;
    const room = Math.min(messageLimit(message), mostBytes) - fixed - head.length - echoLength;
    const offered = reply === "nak" ? NOTHING : options.fit(room);
    const clientIdAt = DHCP4_OPTIONS_AT + head.length + offered.length;
    const payload = new Uint8Array(Math.max(DHCP4_MIN_LENGTH, clientIdAt + echoLength + 1));
    writeDhcp4Header(payload, reply === "nak" ? nakHeader(message) : header(reply, message, lease, boot));
    payload.set(head, DHCP4_OPTIONS_AT);
    payload.set(offered, DHCP4_OPTIONS_AT + head.length);
    endOptions(payload, clientIdAt, clientId);
    return payload;
  }

  return {
    notes: options.notes,
    frame(reply, received) {
      const destination = destinationOf(reply, received, lease);
      return encodeUdp4Frame(
        {
          sourceMac: serverMac,
          destinationMac: destination === IP4_BROADCAST ? BROADCAST_MAC : received.mac,
          source: server,
          destination,
          sourcePort: DHCP4_SERVER_PORT,
          destinationPort: received.message.giaddr === IP4_ANY ? DHCP4_CLIENT_PORT : DHCP4_SERVER_PORT,
        },
        write(reply, received.message),
      );
    },
  };
}

type Header = Omit<Dhcp4Message, "options">;

/** Table 3 of RFC 2131. */
function header(
  reply: Exclude<Reply, "nak">,
  message: Dhcp4Message,
  lease: number,
  boot: BootFields,
): Header {
  return {
    op: BOOTREPLY,
    htype: message.htype,
    hlen: message.hlen,
    hops: 0,
    xid: message.xid,
    secs: 0,
    flags: message.flags,
    ciaddr: reply === "offer" ? IP4_ANY : message.ciaddr,
    yiaddr: reply === "inform-ack" ? IP4_ANY : lease,
    siaddr: boot.siaddr,
    giaddr: message.giaddr,
    chaddr: message.chaddr,
    sname: boot.sname,
    file: boot.file,
  };
}

function nakHeader(message: Dhcp4Message): Header {
  return {
    ...header("offer", message, IP4_ANY, NO_BOOT_FIELDS),
    // A relay must broadcast a NAK, and learns it from the flag (4.3.2).
    flags: message.giaddr === IP4_ANY ? message.flags : message.flags | BROADCAST_FLAG,
  };
}

/** The client's identifier comes last (RFC 6842), then the end. */
function endOptions(payload: Uint8Array, at: number, clientId: Uint8Array): void {
  if (clientId.length === 0) {
    payload[at] = END;
    return;
  }
  payload[at] = CLIENT_ID;
  payload[at + 1] = clientId.length;
  payload.set(clientId, at + 2);
  payload[at + 2 + clientId.length] = END;
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

/** RFC 6842: a server returns the identifier. Empty for none. */
function echoedClientId(message: Dhcp4Message): Uint8Array {
  const id = message.options.get(CLIENT_ID);
  return id === undefined || id.length > CLIENT_ID_ECHO_MAX ? NOTHING : id;
}

function messageLimit(message: Dhcp4Message): number {
  const limit = message.options.get(MAX_MESSAGE_SIZE);
  return limit?.length === 2 ? Math.max(u16(limit, 0), LEAST_MESSAGE) : Number.POSITIVE_INFINITY;
}

function destinationOf(reply: Reply, { message, source }: Received, lease: number): number {
  if (message.giaddr !== IP4_ANY) return message.giaddr;
  if (reply === "nak") return IP4_BROADCAST;
  if (message.ciaddr !== IP4_ANY) return message.ciaddr;
  if (reply === "inform-ack") return source === IP4_ANY ? IP4_BROADCAST : source;
  return (message.flags & BROADCAST_FLAG) !== 0 ? IP4_BROADCAST : lease;
}
