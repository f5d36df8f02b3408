/**
 * What a request is, for those who answer it, and how others hang their own paths on the server: consoles,
 * port forwarding, launcher logs, `subresources.kubevirt.io`, podtap's own endpoints. The server has already
 * checked who asks.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { PeerCredentials } from "./authorise.ts";

export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Decoded parts of the path. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly peer: PeerCredentials;
  readonly request: IncomingMessage;
  /** Aborts when the client goes away or the server closes. */
  readonly signal: AbortSignal;
}

export interface Exchange extends Asked {
  readonly response: ServerResponse;
}

export interface StreamRequest extends Asked {
  /** Of the Upgrade header: `podtap-stream` for raw bytes. */
  readonly protocol: string;
  /**
   * Answers 101 and hands over the connection: raw bytes both ways, the caller's to close. Throw before it to
   * refuse: the client gets a Status.
   */
  accept(headers?: Readonly<Record<string, string>>): Duplex;
}

/** What a path of others does. Thrown ApiErrors become Status answers. */
export interface RouteHandler {
  serve?(exchange: Exchange): Promise<void> | void;
  stream?(request: StreamRequest): Promise<void> | void;
}

export interface ApiRoute {
  /** Undefined: not mine. Asked before the server's own paths, in order. */
  match(method: string, segments: readonly string[]): RouteHandler | undefined;
}
