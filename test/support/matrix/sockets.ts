/**
 * Talk between namespaces by sockets of this process, made in the namespace and wrapped by Node afterwards: no process
 * a question, which is what makes a matrix of hundreds of them quick also on an emulated machine.
 */

import { createSocket } from "node:dgram";
import { closeSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { constants } from "node:os";
import type { Ip } from "../../../src/base/ip.ts";
import { familyOf } from "../../../src/base/ip.ts";
import { KernelError } from "../../../src/linux/errno.ts";
import {
  AF_INET,
  AF_INET6,
  bindSocket,
  connectErrno,
  recv,
  SOCK_NONBLOCK,
  send,
  socket,
  socketOption,
} from "../../../src/linux/libc.ts";
import { inNetns } from "../../../src/linux/netns.ts";
import { pollReadable } from "../../../src/linux/poll.ts";
import { internetAddress } from "../../../src/linux/socket-address.ts";
import { connectTcpSocket, openTcpSocket } from "../../../src/linux/tcp-socket.ts";

export type Protocol = "tcp" | "udp";

/** `refused` by an answer, `silence` without one, otherwise `<label> <address of the asker>`. */
export type Answer = string;

/** Of a server, by the first byte of a TCP connection: say who asks, swallow, or pour out. */
const ASK = "?";
const SWALLOW = "S";
const POUR = "P";
const REFUSALS: readonly number[] = [constants.errno.ECONNREFUSED, constants.errno.EHOSTUNREACH];
/** Of a wish and its number. */
const HEAD_MAX = 20;
const SOCK_DGRAM = 2;
const IPPROTO_TCP = 6;
const TCP_MAXSEG = 2;
const CHUNK = Buffer.alloc(64 * 1024, 0x5a);

/** Answers on a port of both families; gives what ends it. */
export function listen(netns: string, label: string, protocol: Protocol, port: number): () => void {
  return protocol === "tcp" ? listenTcp(netns, label, port) : listenUdp(netns, label, port);
}

/** @param milliseconds after which nobody answers */
export function ask(
  netns: string,
  ip: Ip,
  protocol: Protocol,
  port: number,
  milliseconds: number,
): Promise<Answer> {
  return protocol === "tcp" ? askTcp(netns, ip, port, milliseconds) : askUdp(netns, ip, port, milliseconds);
}

export interface Transfer {
  readonly bytes: number;
  /** Of the asking end: the payload of a full segment. */
  readonly segment: number;
}

/** A TCP server of `listen` takes, or gives, so many bytes. */
export async function transfer(
  netns: string,
  {
    ip,
    port,
    bytes,
    way,
  }: { readonly ip: Ip; readonly port: number; readonly bytes: number; readonly way: "in" | "out" },
  milliseconds: number,
): Promise<Transfer> {
  const fd = await connectTcpSocket(openTcpSocket(netns, ip), ip, port, milliseconds);
  const segment = new DataView(socketOption(fd, IPPROTO_TCP, TCP_MAXSEG, 4, "a TCP socket").buffer).getInt32(
    0,
    true,
  );
  const connection = new Socket({ fd, readable: true, writable: true });
  if (way === "in") {
    connection.write(`${POUR}${bytes}\n`);
    let count = 0;
    await whole(connection, milliseconds, (data) => {
      count += data.length;
    });
    return { bytes: count, segment };
  }
  connection.write(`${SWALLOW}${bytes}\n`);
  pour(connection, bytes, () => undefined);
  let said = "";
  await whole(connection, milliseconds, (data) => {
    said += data.toString();
  });
  return { bytes: Number(said), segment };
}

/** The payload of the first answer; undefined for none. */
export function exchange(
  netns: string,
  { ip, port }: { readonly ip: Ip; readonly port: number },
  question: Uint8Array,
  milliseconds: number,
): Promise<Uint8Array | "refused" | undefined> {
  const family = familyOf(ip) === 6 ? AF_INET6 : AF_INET;
  const fd = inNetns(netns, () => socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0, "a UDP socket"));
  const unreachable = connectErrno(fd, internetAddress(ip, port)) !== 0;
  if (unreachable) {
    closeSync(fd);
    return Promise.resolve("refused");
  }
  return new Promise((resolve) => {
    const settle = (answer: Uint8Array | "refused" | undefined): void => {
      clearTimeout(over);
      clearInterval(again);
      polling.close();
      closeSync(fd);
      resolve(answer);
    };
    const polling = pollReadable(fd, (errno) => {
      if (errno !== 0) return settle("refused");
      const bytes = new Uint8Array(2048);
      const length = recv(fd, bytes, 0);
      if (length >= 0) settle(bytes.subarray(0, length));
    });
    const over = setTimeout(settle, milliseconds, undefined);
    const put = (): void => {
      try {
        send(fd, question, 0, "a UDP socket");
      } catch {
        settle("refused");
      }
    };
    // A datagram may get lost; the first one to a new neighbour often does.
    const again = setInterval(put, 400);
    put();
  });
}

async function askTcp(netns: string, ip: Ip, port: number, milliseconds: number): Promise<Answer> {
  let fd: number;
  try {
    fd = await connectTcpSocket(openTcpSocket(netns, ip), ip, port, milliseconds);
  } catch (thrown) {
    if (thrown instanceof KernelError) return REFUSALS.includes(thrown.errno) ? "refused" : "silence";
    throw thrown;
  }
  const connection = new Socket({ fd, readable: true, writable: true });
  connection.write(ASK);
  return new Promise((resolve) => {
    const settle = (answer: Answer): void => {
      clearTimeout(over);
      connection.destroy();
      resolve(answer);
    };
    const over = setTimeout(settle, milliseconds, "silence");
    connection.once("data", (data: Buffer) => settle(data.toString()));
    connection.once("error", () => settle("refused"));
    connection.once("close", () => settle("silence"));
  });
}

async function askUdp(netns: string, ip: Ip, port: number, milliseconds: number): Promise<Answer> {
  const answer = await exchange(netns, { ip, port }, Buffer.from(ASK), milliseconds);
  if (answer === undefined) return "silence";
  return typeof answer === "string" ? answer : Buffer.from(answer).toString();
}

function listenTcp(netns: string, label: string, port: number): () => void {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
    connection.on("error", () => connection.destroy());
    // Known no more when the connection is broken.
    const asker = plain(connection.remoteAddress ?? "");
    connection.once("data", (first) => serve(connection, first, `${label} ${asker}`));
  });
  // Without an address Node opens the socket at once, which is to say here.
  inNetns(netns, () => void server.listen({ port }));
  return () => {
    server.close();
    for (const connection of connections) connection.destroy();
  };
}

function serve(connection: Socket, first: Buffer, name: string): void {
  const [wish] = first.toString("latin1", 0, 1);
  const [head = ""] = first.toString("latin1", 0, HEAD_MAX).split("\n");
  const bytes = Number.parseInt(head.slice(1), 10);
  if (wish === POUR) pour(connection, bytes, () => connection.end());
  else if (wish === SWALLOW) swallow(connection, first.length - head.length - 1, bytes);
  else connection.end(name);
}

/** Says how much it was when that is all there. */
function swallow(connection: Socket, already: number, bytes: number): void {
  let count = already;
  connection.on("data", (data: Buffer) => {
    count += data.length;
    if (count >= bytes) connection.end(String(count));
  });
}

function pour(connection: Socket, bytes: number, done: () => void): void {
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const chunk = CHUNK.subarray(0, Math.min(left, CHUNK.length));
      left -= chunk.length;
      if (!connection.write(chunk)) {
        connection.once("drain", more);
        return;
      }
    }
    done();
  };
  more();
}

function listenUdp(netns: string, label: string, port: number): () => void {
  const fd = inNetns(netns, () => {
    const opened = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0, "a UDP socket");
    bindSocket(opened, internetAddress("::" as Ip, port), `UDP port ${port}`);
    return opened;
  });
  const server = createSocket("udp6");
  server.on("error", () => undefined);
  server.on("message", (_, from) => server.send(`${label} ${plain(from.address)}`, from.port, from.address));
  server.bind({ fd, exclusive: true });
  return () => server.close();
}

function whole(connection: Socket, milliseconds: number, take: (data: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.destroy();
      reject(new Error(`not done within ${milliseconds} ms`));
    }, milliseconds);
    connection.on("data", take);
    connection.once("error", reject);
    connection.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function plain(address: string): string {
  return address.replace("::ffff:", "").replace(/%.*/, "");
}
