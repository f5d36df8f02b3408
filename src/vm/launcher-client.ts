/** The node daemon's side of a launcher's socket (launch-spec.ts). */
import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { PodtapError } from "../base/errors.ts";
import type { Code } from "../base/problem.ts";
import type { LauncherError, LauncherStatus, LaunchSpec } from "./launch-spec.ts";

/** Longer than a launcher needs to bring up libvirtd and define a domain on a loaded machine under TCG. */
const START_TIMEOUT_MS = 60_000;
const ANSWER_TIMEOUT_MS = 10_000;
/** Hostile output of a guest's agent ends here. */
const BODY_MAX = 4 * 1024 * 1024;

export interface LauncherClient {
  status(): Promise<LauncherStatus>;
  start(spec: LaunchSpec, signal?: AbortSignal): Promise<LauncherStatus>;
  /** The state now and at every change; ends when the launcher closes its socket. */
  watch(signal: AbortSignal): AsyncIterable<LauncherStatus>;
  /** Resolves when the guest is off. */
  shutdown(graceSeconds: number, signal?: AbortSignal): Promise<void>;
  xml(): Promise<string>;
}

export function launcherClient(socketPath: string): LauncherClient {
  const call = async (
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<string> => {
    const response = await send({ socketPath, method, path, body, timeoutMs, ...(signal && { signal }) });
    const text = await readBody(response);
    if (response.statusCode !== 200) throw failure(text, `${method} ${path}`);
    return text;
  };
  return {
    status: async () =>
      JSON.parse(await call("GET", "/status", undefined, ANSWER_TIMEOUT_MS)) as LauncherStatus,
    start: async (spec, signal) =>
      JSON.parse(await call("POST", "/start", spec, START_TIMEOUT_MS, signal)) as LauncherStatus,
    shutdown: async (graceSeconds, signal) => {
      await call("POST", "/shutdown", { graceSeconds }, (graceSeconds + 30) * 1000, signal);
    },
    xml: () => call("GET", "/xml", undefined, ANSWER_TIMEOUT_MS),
    watch: (signal) => watchStatus(socketPath, signal),
  };
}

async function* watchStatus(socketPath: string, signal: AbortSignal): AsyncGenerator<LauncherStatus> {
  const response = await send({ socketPath, method: "GET", path: "/watch", signal });
  const lines = createInterface({ input: response });
  // A stream that is cut short ends the watch; what that means is for the caller to say.
  response.on("error", () => lines.close());
  try {
    for await (const line of lines) {
      if (line !== "") yield JSON.parse(line) as LauncherStatus;
    }
  } finally {
    response.destroy();
  }
}

interface Sent {
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

function send({ socketPath, method, path, body, timeoutMs, signal }: Sent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method,
        path,
        agent: false,
        ...(signal && { signal }),
        headers: { "content-type": "application/json" },
      },
      resolve,
    );
    if (timeoutMs !== undefined) {
      outgoing.setTimeout(timeoutMs, () =>
        outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
      );
    }
    outgoing.on("error", (cause) => {
      reject(
        new PodtapError({
          code: "PT-LAUNCHER-20",
          message: `${method} ${path} to the launcher on ${socketPath}: ${cause.message}`,
          hint: "`podtap logs NAME --source launcher` has its last words",
          retry: "soon",
          cause,
        }),
      );
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX) throw new RangeError("the launcher's answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function failure(text: string, what: string): PodtapError {
  let said: Partial<LauncherError> = {};
  try {
    said = JSON.parse(text) as LauncherError;
  } catch {
    said = { message: text.trim() };
  }
  return new PodtapError({
    code: (said.code ?? "PT-LAUNCHER-21") as Code,
    message: said.message ?? `${what} failed`,
    ...(said.hint !== undefined && { hint: said.hint }),
    retry: "never",
  });
}
