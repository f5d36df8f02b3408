/** The launcher's HTTP on a Unix socket: the protocol of launch-spec.ts, and nothing more. */
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf, PodtapError } from "../base/errors.ts";
import type { LauncherError, LaunchSpec } from "./launch-spec.ts";
import type { Launcher } from "./launcher.ts";

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const AGENT_TIMEOUT_SECONDS = 10;
const DEFAULT_GRACE_SECONDS = 30;

type Handler = (launcher: Launcher, request: IncomingMessage, response: ServerResponse) => Promise<void>;

const ROUTES: Readonly<Record<string, Handler>> = {
  "POST /start": async (launcher, request, response) => {
    send(response, 200, await launcher.launch(await readBody<LaunchSpec>(request)));
  },
  "GET /status": async (launcher, _request, response) => {
    send(response, 200, launcher.state.status);
  },
  "GET /watch": async (launcher, _request, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const stop = launcher.state.watch((status) => response.write(`${JSON.stringify(status)}\n`));
    response.once("close", stop);
  },
  "GET /xml": async (launcher, _request, response) => {
    const xml = await launcher.xml();
    response.writeHead(200, { "content-type": "application/xml" }).end(xml);
  },
  "POST /shutdown": async (launcher, request, response) => {
    const { graceSeconds } = await readBody<{ graceSeconds?: number }>(request);
    await launcher.shutdown(graceSeconds ?? DEFAULT_GRACE_SECONDS);
    send(response, 200, launcher.state.status);
  },
  "POST /agent": async (launcher, request, response) => {
    const { command } = await readBody<{ command: object }>(request);
    send(response, 200, await launcher.agentCommand(command, AGENT_TIMEOUT_SECONDS));
  },
};

/** Listens with mode 0600: root and the launcher's own uid. */
export async function serveLauncher(launcher: Launcher, socket: string): Promise<Server> {
  const server = createServer((request, response) => {
    handle(launcher, request, response).catch((problem) => sendError(response, problem));
  });
  // A start may take its time, and a watch lasts for ever.
  server.requestTimeout = 0;
  rmSync(socket, { force: true });
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socket, resolve);
    });
  } finally {
    process.umask(mask);
  }
  return server;
}

async function handle(launcher: Launcher, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method} ${request.url}`;
  const handler = Object.hasOwn(ROUTES, route) ? ROUTES[route] : undefined;
  if (handler === undefined) {
    const known = Object.keys(ROUTES).join(", ");
    send(response, 404, { code: "PT-LAUNCHER-6", message: `no ${route} here`, hint: `Known: ${known}.` });
    return;
  }
  await handler(launcher, request, response);
}

function sendError(response: ServerResponse, problem: unknown): void {
  const known = problem instanceof PodtapError ? problem : undefined;
  const body: LauncherError = {
    code: known?.code ?? "PT-LAUNCHER-7",
    message: messageOf(problem),
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
  };
  if (response.headersSent) response.end();
  else send(response, known?.blame === "manifest" ? 400 : 500, body);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function readBody<T>(request: IncomingMessage): Promise<T> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw bodyError(`is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(bytes === 0 ? "{}" : Buffer.concat(chunks).toString("utf8")) as T;
  } catch (cause) {
    throw bodyError(`is not JSON: ${messageOf(cause)}`);
  }
}

function bodyError(what: string): PodtapError {
  return new PodtapError({
    code: "PT-LAUNCHER-8",
    message: `the request's body ${what}`,
    blame: "manifest",
  });
}
