/**
 * The embedded API: Kubernetes' REST, as far as one box needs it, on a Unix socket. Who connected is asked of
 * the kernel once a connection; every request of it is then answered or refused by that. Answers are always
 * Kubernetes' shapes, errors always `Status`, so that kubectl and client libraries work through a plain proxy.
 *
 * Differences that one will meet: namespaces are made on the way; admission is podtap's own; there are no field
 * owners, so server-side apply merges; the history behind a watch is memory and begins anew with the daemon.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { FieldTable } from "../../api/field-table.ts";
import type { Clock } from "../../base/clock.ts";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { ApiError, unknownResource } from "../api-error.ts";
import { answerBody, answerError, negotiate, toApiError } from "./answer.ts";
import { type AccessPolicy, isAllowed, notAllowed, type PeerCredentials } from "./authorise.ts";
import { discover, discoverAggregated } from "./discovery.ts";
import type { ApiRoute, Asked, Exchange, RouteHandler } from "./exchange.ts";
import type { LocalCluster } from "./local-cluster.ts";
import { parseObjectPath, pathSegments } from "./object-path.ts";
import { answerObjects } from "./object-requests.ts";
import { OPENAPI_V2_TYPE, openApiV2 } from "./openapi-v2.ts";

export interface ApiServerOptions {
  readonly cluster: LocalCluster;
  readonly socketPath: string;
  readonly clock: Clock;
  /** podtap's own. */
  readonly version: string;
  /** SO_PEERCRED of a connected descriptor. */
  peerCredentials(fd: number): PeerCredentials;
  readonly access?: AccessPolicy;
  readonly routes?: readonly ApiRoute[];
  /** What kinds have, for `kubectl explain`. */
  readonly fields?: FieldTable;
  /** Why the daemon is not ready yet, for /readyz; undefined: it is. */
  notReady?(): string | undefined;
  /** Told of answers with status 500 and of streams that broke. */
  onError?(thrown: unknown, request: string): void;
  readonly bookmarkIntervalMs?: number;
}

export interface ApiServer {
  readonly socketPath: string;
  /** Ends watches and streams, and removes the socket. */
  close(): Promise<void>;
}

/** Far above what one box's users open, far below what a process may. */
const CONNECTIONS_MAX = 1024;
const KEEP_ALIVE_MS = 65_000;

/** @throws PodtapError PT-ENV-6 when the socket cannot be made. A socket left by a dead daemon is replaced. */
export async function serveApi(options: ApiServerOptions): Promise<ApiServer> {
  const api = new Api(options);
  await api.listen();
  return api;
}

class Api implements ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  /** One a request that is being answered; node's `AbortSignal.any` would keep every one ever made. */
  readonly #open = new Set<AbortController>();
  readonly #peers = new WeakMap<Duplex, PeerCredentials>();
  readonly #upgraded = new Set<Duplex>();

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({
      keepAliveTimeout: KEEP_ALIVE_MS,
      // curl offers h2c on plain connections; that is a request like any other.
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() !== "h2c",
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on("connection", (socket) => this.#identify(socket));
    this.#server.on("clientError", (error, socket) => answerNonsense(error, socket));
    this.#server.on("request", (request, response) => void this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  get socketPath(): string {
    return this.#options.socketPath;
  }

  async listen(): Promise<void> {
    const { socketPath } = this.#options;
    try {
      rmSync(socketPath, { force: true });
      await new Promise<void>((resolve, reject) => {
        this.#server.once("error", reject);
        this.#server.listen(socketPath, resolve);
      });
      // Anybody may connect, so that whoever is refused is told who is asking and what to do.
      chmodSync(socketPath, 0o666);
    } catch (cause) {
      throw new PodtapError({
        code: "PT-ENV-6",
        message: `listening on ${socketPath} failed: ${messageOf(cause)}`,
        hint: "the directory must exist and be writable; PODTAP_RUN_DIR moves it (108 characters at most)",
        cause,
      });
    }
  }

  async close(): Promise<void> {
    for (const request of this.#open) request.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#upgraded) socket.destroy();
    this.#server.closeAllConnections();
    await closed;
    rmSync(this.#options.socketPath, { force: true });
  }

  #identify(socket: Socket): void {
    // Node has no public name for it: the descriptor behind a connection.
    const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
    try {
      if (fd !== undefined && fd >= 0) this.#peers.set(socket, this.#options.peerCredentials(fd));
    } catch (thrown) {
      this.#options.onError?.(thrown, "connection");
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const asked = this.#ask(request, this.#signalUntil(response));
      const handler = this.#routeFor(asked);
      if (handler === undefined) await this.#answerOwn({ ...asked, response });
      else if (handler.serve !== undefined) await handler.serve({ ...asked, response });
      else throw new ApiError(400, "BadRequest", "Upgrade request required");
    } catch (thrown) {
      if (toApiError(thrown).status >= 500)
        this.#options.onError?.(thrown, `${request.method} ${request.url}`);
      answerError(response, thrown);
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const signal = this.#signalUntil(socket);
    this.#upgraded.add(socket);
    socket.once("close", () => this.#upgraded.delete(socket));
    // Without a listener a broken pipe would end the process; whoever owns the stream sees `close`.
    socket.on("error", () => socket.destroy());
    let accepted = false;
    const accept = (headers: Readonly<Record<string, string>> = {}): Duplex => {
      accepted = true;
      socket.write(switchingProtocols(request.headers.upgrade ?? "", headers));
      if (head.length > 0) socket.unshift(head);
      return socket;
    };
    try {
      const asked = this.#ask(request, signal);
      const handler = this.#routeFor(asked);
      if (handler?.stream === undefined) throw unknownResource();
      await handler.stream({ ...asked, protocol: request.headers.upgrade ?? "", accept });
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500) this.#options.onError?.(thrown, `${request.method} ${request.url}`);
      if (accepted) socket.destroy();
      else socket.end(refusal(error));
    }
  }

  /** Aborts when the client has gone or the server closes. */
  #signalUntil(connection: ServerResponse | Duplex): AbortSignal {
    const controller = new AbortController();
    this.#open.add(controller);
    connection.once("close", () => {
      this.#open.delete(controller);
      controller.abort();
    });
    return controller.signal;
  }

  #ask(request: IncomingMessage, signal: AbortSignal): Asked {
    const peer = this.#peers.get(request.socket);
    const ownUid = process.getuid?.() ?? -1;
    if (peer === undefined || !isAllowed(peer, ownUid, this.#options.access ?? {})) throw notAllowed(peer);
    const raw = request.url ?? "/";
    const end = raw.indexOf("?");
    const path = end < 0 ? raw : raw.slice(0, end);
    if (!path.startsWith("/")) throw new ApiError(400, "BadRequest", "the request's target is not a path");
    return {
      method: request.method ?? "GET",
      path,
      segments: pathSegments(path),
      query: new URLSearchParams(end < 0 ? "" : raw.slice(end + 1)),
      peer,
      request,
      signal,
    };
  }

  #routeFor({ method, segments }: Asked): RouteHandler | undefined {
    for (const route of this.#options.routes ?? []) {
      const handler = route.match(method, segments);
      if (handler !== undefined) return handler;
    }
    return undefined;
  }

  async #answerOwn(exchange: Exchange): Promise<void> {
    const { method, segments, response, request } = exchange;
    const path = `/${segments.join("/")}`;
    const reading = method === "GET" || method === "HEAD";
    if (reading && this.#answerHealth(path, response)) return;
    const object = parseObjectPath(segments);
    if (object !== undefined) {
      const { cluster, clock, bookmarkIntervalMs = 60_000 } = this.#options;
      return answerObjects({ cluster, clock, bookmarkIntervalMs }, object, exchange);
    }
    if (!reading) throw unknownResource();
    if (path === "/openapi/v2" && (request.headers.accept ?? "").includes("proto-openapi.spec.v2")) {
      answerBody(response, 200, openApiV2(), OPENAPI_V2_TYPE);
      return;
    }
    const aggregated = discoverAggregated(path);
    if (aggregated !== undefined && negotiate(request.headers.accept) === "discovery") {
      answerBody(response, 200, aggregated, AGGREGATED);
      return;
    }
    const body = discover(path, this.#options.version, this.#options.fields);
    if (body === undefined) throw unknownResource();
    answerBody(response, 200, body);
  }

  #answerHealth(path: string, response: ServerResponse): boolean {
    if (path !== "/healthz" && path !== "/livez" && path !== "/readyz") return false;
    const why = path === "/readyz" ? this.#options.notReady?.() : undefined;
    response.writeHead(why === undefined ? 200 : 503, { "content-type": "text/plain; charset=utf-8" });
    response.end(why === undefined ? "ok" : `not ready: ${why}\n`);
    return true;
  }
}

const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** What Node's parser refuses never becomes a request; it is answered all the same, where there is an ear. */
function answerNonsense(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW" ? 431 : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
  socket.end(refusal(new ApiError(status, "BadRequest", `this is no HTTP request: ${error.message}`)));
}

function switchingProtocols(protocol: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ connection: "Upgrade", upgrade: protocol, ...headers });
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.map(([key, value]) => `${key}: ${value}\r\n`).join("")}\r\n`;
}

function refusal(error: ApiError): string {
  const body = JSON.stringify(error.toStatus());
  return `HTTP/1.1 ${error.status} ${error.reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}
