/**
 * One netlink socket: questions, dumps and batches of changes, all synchronous.
 *
 * Theory of operation. The kernel carries out requests inside send(), so answers are ready when it returns and
 * nothing ever waits. A batch of messages goes in one send; it is not atomic, and every message has its own ack.
 * The socket belongs to the namespace in which it was opened, whoever uses it from wherever.
 *
 * Quirks kept here: a dump during which things changed says so (NLM_F_DUMP_INTR) or overflows the socket
 * (ENOBUFS); it is taken again, a bounded number of times. A receive buffer under 32 KiB would cut a dump short.
 */
import { closeSync } from "node:fs";
import {
  concat,
  decodeAck,
  decodeMessages,
  encodeMessage,
  type NetlinkAck,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../wire/netlink.ts";
import { EAGAIN, EBUSY, ENOBUFS, ETIMEDOUT, KernelError } from "./errno.ts";
import {
  AF_NETLINK,
  recv,
  SOCK_NONBLOCK,
  SOCK_RAW,
  send,
  setSocketOption,
  socket,
  waitReadable,
} from "./libc.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const OBJECT = "a netlink socket";
const DUMP_ATTEMPTS = 10;
const ANSWER_MILLISECONDS = 2000;

/** A change to be made, with words for the error it may end in. */
export interface Change {
  readonly type: number;
  /** Beside REQUEST and ACK: CREATE, EXCL. */
  readonly flags?: number;
  readonly payload: Uint8Array;
  /** After "cannot": `add an address to`. */
  readonly operation: string;
  readonly object: string;
  /** Errnos that mean the wanted state is there already. */
  readonly accept?: readonly number[];
  readonly hint?: string;
}

/** Something to be asked; the same words. */
export type Question = Omit<Change, "flags">;

export interface NetlinkSocket {
  /** Sends all in one batch; throws for the first that failed, after all were tried. */
  change(...changes: readonly Change[]): void;
  /** Payloads of the answers to a question; none where it ends in an accepted errno. */
  ask(question: Question): readonly Uint8Array[];
  /** Payloads of all entries, from one uninterrupted dump. */
  dump(type: number, payload: Uint8Array, object: string): readonly Uint8Array[];
  close(): void;
}

/** In the calling thread's namespace. */
export function openNetlinkSocket(protocol: number): NetlinkSocket {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, protocol, OBJECT);
  // Acks without a copy of the request, with words of explanation.
  setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, OBJECT);
  setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, OBJECT);
  let sequence = 0;

  const request = (type: number, flags: number, payload: Uint8Array): NetlinkMessage => {
    sequence = (sequence + 1) >>> 0;
    return { type, flags: NLM_F_REQUEST | flags, sequence, payload };
  };

  const change = (...changes: readonly Change[]): void => {
    const batch = changes.map((one) => ({
      ...one,
      message: request(one.type, NLM_F_ACK | (one.flags ?? 0), one.payload),
    }));
    send(fd, concat(...batch.map(({ message }) => encodeMessage(message))), 0, OBJECT);
    const acks = collectAcks(
      fd,
      batch.map(({ message }) => message.sequence),
    );
    for (const { message, operation, object, accept, hint } of batch) {
      const { errno = ETIMEDOUT, said } = acks.get(message.sequence) ?? {};
      if (errno === 0 || accept?.includes(errno)) continue;
      throw new KernelError({ errno, operation, object, said, hint });
    }
  };

  const ask = ({ type, payload, operation, object, accept, hint }: Question): readonly Uint8Array[] => {
    const question = request(type, NLM_F_ACK, payload);
    send(fd, encodeMessage(question), 0, object);
    const { ack, payloads } = collect(fd, question.sequence);
    if (ack.errno === 0 || accept?.includes(ack.errno)) return payloads;
    throw new KernelError({ ...ack, operation, object, hint });
  };

  const dump = (type: number, payload: Uint8Array, object: string): readonly Uint8Array[] => {
    for (let attempt = 1; ; attempt++) {
      const question = request(type, NLM_F_DUMP, payload);
      send(fd, encodeMessage(question), 0, object);
      const { payloads, ack, interrupted } = collect(fd, question.sequence);
      const again = interrupted || ack.errno === ENOBUFS || ack.errno === EBUSY;
      if (!again && ack.errno === 0) return payloads;
      if (!again || attempt === DUMP_ATTEMPTS) {
        const errno = interrupted ? EBUSY : ack.errno;
        const hint = again ? "things change there faster than they can be listed; try again" : undefined;
        throw new KernelError({ ...ack, errno, operation: "list", object, hint });
      }
    }
  };

  return {
    change,
    ask,
    dump,
    close: () => closeSync(fd),
  };
}

/** Larger than what the kernel puts in a datagram of a dump (32 KiB). */
const buffer = new Uint8Array(65_536);

/** Messages of the next datagram, copied out of the shared buffer; a negative errno when there is none. */
function receive(fd: number): readonly NetlinkMessage[] | number {
  let received = recv(fd, buffer, 0);
  if (received === -EAGAIN && waitReadable(fd, ANSWER_MILLISECONDS)) received = recv(fd, buffer, 0);
  return received < 0 ? received : decodeMessages(buffer.slice(0, received));
}

interface Answer {
  readonly payloads: readonly Uint8Array[];
  readonly ack: NetlinkAck;
  readonly interrupted: boolean;
}

/** Everything up to the end of one answer; leftovers of earlier, abandoned ones are passed over. */
function collect(fd: number, sequence: number): Answer {
  const payloads: Uint8Array[] = [];
  let interrupted = false;
  for (;;) {
    const messages = receive(fd);
    if (typeof messages === "number") {
      const errno = messages === -EAGAIN ? ETIMEDOUT : -messages;
      return { payloads, ack: { errno }, interrupted };
    }
    for (const message of messages) {
      if (message.sequence !== sequence) continue;
      interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        return { payloads, ack: decodeAck(message), interrupted };
      }
      payloads.push(message.payload);
    }
  }
}

function collectAcks(fd: number, sequences: readonly number[]): ReadonlyMap<number, NetlinkAck> {
  const acks = new Map<number, NetlinkAck>();
  while (acks.size < sequences.length) {
    const messages = receive(fd);
    if (typeof messages === "number") break;
    for (const message of messages) {
      if (message.type === NLMSG_ERROR && sequences.includes(message.sequence)) {
        acks.set(message.sequence, decodeAck(message));
      }
    }
  }
  return acks;
}
