/**
 * HTTP/1.1 (RFC 9112) for one trusted peer on a Unix socket, as much as the launcher's protocol needs. It is here
 * because node:http costs every VM 17 MB of resident memory.
 *
 * A peer that closes its side is gone. One request a connection, the answer ends with the connection (RFC 9112, 6.3, rule 8): no keep-alive, no
 * pipelining, no chunks. A body needs a Content-Length. Whatever else comes is answered with an error and closed.
 */
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { PodtapError } from "../base/errors.ts";

const MAX_HEAD_BYTES = 16 * 1024;
const MAX_BODY_BYTES = 8 * 1024 * 1024;

export interface SmallRequest {
  /** `POST /start` */
  readonly route: string;
  /** The parsed body, `{}` without one. */
  readonly body: unknown;
}

export interface SmallResponse {
  /** Status and headers, once; then the connection is a stream. */
  begin(status: number, contentType: string): void;
  /** False when the peer is gone. */
  write(text: string): boolean;
  end(): void;
  onClosed(listener: () => void): void;
}

export type SmallHandler = (request: SmallRequest, response: SmallResponse) => void;

/** Listens with mode 0600: root and our own uid. */
export async function serveSmallHttp(path: string, handler: SmallHandler): Promise<Server> {
  const server = createServer((socket) => serve(socket, handler));
  rmSync(path, { force: true });
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(mask);
  }
  return server;
}

function serve(socket: Socket, handler: SmallHandler): void {
  const response = responseOn(socket);
  let received = Buffer.alloc(0);
  socket.on("error", () => undefined);
  const onData = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    let request: SmallRequest | undefined;
    try {
      request = parseRequest(received);
    } catch (problem) {
      socket.off("data", onData);
      response.begin(400, "text/plain");
      response.write(problem instanceof Error ? problem.message : String(problem));
      response.end();
      return;
    }
    if (request === undefined) return;
    socket.off("data", onData);
    socket.resume();
    handler(request, response);
  };
  socket.on("data", onData);
}

/** undefined while the request is not whole. @throws PodtapError `PT-LAUNCHER-8` */
export function parseRequest(received: Buffer): SmallRequest | undefined {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd < 0) {
    if (received.length > MAX_HEAD_BYTES) throw refused("its head is too long");
    return undefined;
  }
  const [requestLine = "", ...fields] = received.toString("latin1", 0, headEnd).split("\r\n");
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(requestLine) ?? [];
  if (method === undefined) throw refused(`${JSON.stringify(requestLine.slice(0, 80))} is no request line`);
  const headers = new Map(fields.map(fieldOf));
  if (headers.has("transfer-encoding")) throw refused("send a Content-Length instead of chunks");
  const length = Number(headers.get("content-length") ?? 0);
  if (!Number.isInteger(length) || length < 0 || length > MAX_BODY_BYTES) {
    throw refused(`a body of ${headers.get("content-length")} bytes is not taken`);
  }
  const start = headEnd + 4;
  if (received.length < start + length) return undefined;
  return { route: `${method} ${target}`, body: parseBody(received.toString("utf8", start, start + length)) };
}

function fieldOf(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
}

function parseBody(text: string): unknown {
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused("its body is not JSON", cause);
  }
}

function refused(why: string, cause?: unknown): PodtapError {
  return new PodtapError({
    code: "PT-LAUNCHER-8",
    message: `the request is refused: ${why}`,
    blame: "podtap",
    ...(cause === undefined ? {} : { cause }),
  });
}

function responseOn(socket: Socket): SmallResponse {
  return {
    begin(status, contentType) {
      // The reason phrase may be empty (RFC 9112, 4); the space before it may not.
      socket.write(`HTTP/1.1 ${status} \r\nContent-Type: ${contentType}\r\nConnection: close\r\n\r\n`);
    },
    write(text) {
      if (!socket.writable) return false;
      socket.write(text);
      return true;
    },
    end: () => void socket.end(),
    onClosed: (listener) => void socket.once("close", listener),
  };
}
