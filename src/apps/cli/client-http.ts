/**
 * HTTP over the daemon's Unix socket, with errors that say what to do: refusals of the server are `ApiError`, a
 * daemon that is not there is PT-ENV-5, a socket one may not open PT-ENV-4, a connection that broke PT-ENV-7.
 *
 * Given a way to have the daemon back, what may be asked twice (GET, PUT) is asked again once it is there, and so is
 * what never reached it. Whatever else broke in the middle is for the caller to look into: it may have been done.
 */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { apiErrorFrom, type Status } from "../../cluster/api-error.ts";

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** May be asked twice although its method says otherwise. */
  readonly repeatable?: boolean;
}

export interface Answer {
  readonly status: number;
  /** Texts of `Warning` headers: what admission let pass, but finds odd. */
  readonly warnings: readonly string[];
  /** Parsed JSON; text where it is not JSON. */
  readonly body: unknown;
}

/** Called when no daemon answers; returns when one does, or throws why none does. `met`: one had answered before. */
export type Revive = (cause: PodtapError, met: boolean) => Promise<void>;

const NO_DAEMON = "PT-ENV-5";
const BROKEN = "PT-ENV-7";
const STREAM_PROTOCOL = "podtap-stream";
/** RFC 9110 section 9.2.2, of the methods used here; DELETE is told apart by its answer. */
const REPEATABLE = new Set(["GET", "PUT"]);

export class HttpConnection {
  readonly socketPath: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #revive: Revive | undefined;
  #met = false;

  constructor(socketPath: string, revive?: Revive) {
    this.socketPath = socketPath;
    this.#revive = revive;
  }

  /** Idle connections are closed, so that the process can end. */
  close(): void {
    this.#agent.destroy();
  }

  request(path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.#lasting(options, async () => {
      const response = await this.#send(path, options);
      const body = parseBody(response, await this.#readText(response));
      const status = response.statusCode ?? 0;
      if (status >= 400) throw apiErrorFrom(status, asStatus(body));
      return { status, body, warnings: warningsOf(response) };
    });
  }

  /** The answer's body as it comes: watches, logs that are followed. */
  open(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    return this.#lasting(options, async () => {
      const response = await this.#send(path, options);
      const status = response.statusCode ?? 0;
      if (status < 400) return response;
      throw apiErrorFrom(status, asStatus(parseBody(response, await this.#readText(response))));
    });
  }

  /** Raw bytes both ways: consoles, forwarded ports. The caller closes it. */
  stream(path: string, options: RequestOptions = {}): Promise<Socket> {
    return this.#lasting(options, () => this.#upgrade(path, options));
  }

  /**
   * After something broke: returns when the daemon is there again.
   * @throws what was given, when the daemon is not to blame or nobody brings it back
   */
  async revived(thrown: unknown): Promise<void> {
    if (this.#revive === undefined || !isDaemonGone(thrown)) throw thrown;
    await this.#revive(thrown, this.#met);
  }

  async #lasting<T>(
    { method = "GET", repeatable = REPEATABLE.has(method), signal }: RequestOptions,
    attempt: () => Promise<T>,
  ): Promise<T> {
    for (;;) {
      try {
        const answer = await attempt();
        this.#met = true;
        return answer;
      } catch (thrown) {
        const harmless = repeatable || (thrown as Partial<PodtapError>).code === NO_DAEMON;
        if (signal?.aborted || !harmless) throw thrown;
        await this.revived(thrown);
      }
    }
  }

  #upgrade(path: string, options: RequestOptions): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const asked = httpRequest({
        ...this.#target(path, options),
        headers: { host: "podtap", connection: "Upgrade", upgrade: STREAM_PROTOCOL },
        agent: false,
      });
      asked.once("upgrade", (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket as Socket);
      });
      asked.once("response", (response) => {
        this.#readText(response).then(
          (text) => reject(apiErrorFrom(response.statusCode ?? 0, asStatus(parseBody(response, text)))),
          reject,
        );
      });
      asked.once("error", (cause) => reject(this.#connectionError(cause, options.signal)));
      asked.end();
    });
  }

  /** The error for a connection that ended in the middle of something. */
  broken(cause: unknown): PodtapError {
    return new PodtapError({
      code: BROKEN,
      message: `the connection to ${this.socketPath} broke: ${messageOf(cause)}`,
      hint: "did the daemon end? its log tells why",
      retry: "soon",
      cause,
    });
  }

  async #readText(response: IncomingMessage): Promise<string> {
    const parts: Buffer[] = [];
    try {
      for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
    } catch (thrown) {
      throw this.broken(thrown);
    }
    return Buffer.concat(parts).toString("utf8");
  }

  #send(path: string, options: RequestOptions): Promise<IncomingMessage> {
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    return new Promise((resolve, reject) => {
      const asked = httpRequest(
        {
          ...this.#target(path, options),
          agent: this.#agent,
          headers: {
            host: "podtap",
            accept: options.accept ?? "application/json",
            ...(body === undefined
              ? {}
              : {
                  "content-type": options.contentType ?? "application/json",
                  "content-length": Buffer.byteLength(body),
                }),
          },
        },
        resolve,
      );
      asked.once("error", (cause) => reject(this.#connectionError(cause, options.signal)));
      asked.end(body);
    });
  }

  #target(path: string, { method = "GET", query, signal }: RequestOptions): object {
    return {
      socketPath: this.socketPath,
      // Of TLS. Node works it out otherwise, and compiles a regular expression for IPv6 addresses that takes longer
      // than the request.
      servername: "",
      path: withQuery(path, query),
      method,
      ...(signal === undefined ? {} : { signal }),
    };
  }

  #connectionError(cause: Error, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason ?? cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return noDaemon(this.socketPath, cause);
    if (code === "EACCES" || code === "EPERM") return noPermission(this.socketPath, cause);
    return this.broken(cause);
  }
}

export function isDaemonGone(thrown: unknown): thrown is PodtapError {
  return thrown instanceof PodtapError && (thrown.code === NO_DAEMON || thrown.code === BROKEN);
}

function noDaemon(socketPath: string, cause: Error): PodtapError {
  return new PodtapError({
    code: NO_DAEMON,
    message: `no podtap daemon listens on ${socketPath}`,
    hint: "start one with 'podtap node', or run a command that starts it ('podtap up')",
    retry: "soon",
    cause,
  });
}

function noPermission(socketPath: string, cause: Error): PodtapError {
  return new PodtapError({
    code: "PT-ENV-4",
    message: `no permission to open ${socketPath}`,
    hint: "run this with sudo; who may use the daemon is root's choice",
    cause,
  });
}

function withQuery(path: string, query: RequestOptions["query"] = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

function parseBody(response: IncomingMessage, text: string): unknown {
  if (!(response.headers["content-type"] ?? "").startsWith("application/json")) return text;
  return text === "" ? undefined : JSON.parse(text);
}

function asStatus(body: unknown): Partial<Status> {
  if (typeof body === "object" && body !== null) return body as Partial<Status>;
  return typeof body === "string" && body.trim() !== "" ? { message: body.trim() } : {};
}

function warningsOf(response: IncomingMessage): readonly string[] {
  const header = response.headersDistinct["warning"] ?? [];
  return header.flatMap((line) =>
    [...line.matchAll(/299 [^ ]+ "((?:[^"\\]|\\.)*)"/g)].map((it) => (it[1] ?? "").replace(/\\(.)/g, "$1")),
  );
}
