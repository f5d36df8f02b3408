/** The launcher's API on a Unix socket: the protocol of launch-spec.ts, and nothing more. */
import type { Server } from "node:net";
import { messageOf, PodtapError } from "../base/errors.ts";
import type { LauncherError, LaunchSpec } from "./launch-spec.ts";
import type { Launcher } from "./launcher.ts";
import { type SmallRequest, type SmallResponse, serveSmallHttp } from "./small-http.ts";

const AGENT_TIMEOUT_SECONDS = 10;
const DEFAULT_GRACE_SECONDS = 30;
const JSON_TYPE = "application/json";

type Route = (launcher: Launcher, request: SmallRequest, response: SmallResponse) => Promise<void>;

const ROUTES: Readonly<Record<string, Route>> = {
  "POST /start": async (launcher, { body }, response) => {
    send(response, 200, await launcher.launch(body as LaunchSpec));
  },
  "GET /status": async (launcher, _request, response) => {
    send(response, 200, launcher.state.status);
  },
  "GET /watch": async (launcher, _request, response) => {
    response.begin(200, "application/x-ndjson");
    response.onClosed(launcher.state.watch((status) => void response.write(`${JSON.stringify(status)}\n`)));
  },
  "GET /xml": async (launcher, _request, response) => {
    const xml = await launcher.xml();
    response.begin(200, "application/xml");
    response.write(xml);
    response.end();
  },
  "POST /shutdown": async (launcher, { body }, response) => {
    const { graceSeconds } = body as { graceSeconds?: number };
    await launcher.shutdown(graceSeconds ?? DEFAULT_GRACE_SECONDS);
    send(response, 200, launcher.state.status);
  },
  "POST /agent": async (launcher, { body }, response) => {
    const { command } = body as { command?: object };
    send(response, 200, await launcher.agentCommand(command ?? {}, AGENT_TIMEOUT_SECONDS));
  },
};

export function serveLauncher(launcher: Launcher, socket: string): Promise<Server> {
  return serveSmallHttp(socket, (request, response) => {
    const route = Object.hasOwn(ROUTES, request.route) ? ROUTES[request.route] : undefined;
    if (route === undefined) sendUnknown(response, request.route);
    else route(launcher, request, response).catch((problem) => sendError(response, problem));
  });
}

function sendUnknown(response: SmallResponse, route: string): void {
  const hint = `Known are ${Object.keys(ROUTES).join(", ")}.`;
  const body: LauncherError = { code: "PT-LAUNCHER-6", message: `the launcher knows no ${route}`, hint };
  send(response, 404, body);
}

function sendError(response: SmallResponse, problem: unknown): void {
  const known = problem instanceof PodtapError ? problem : undefined;
  const body: LauncherError = {
    code: known?.code ?? "PT-LAUNCHER-7",
    message: messageOf(problem),
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
  };
  send(response, known?.blame === "manifest" ? 400 : 500, body);
}

function send(response: SmallResponse, status: number, body: unknown): void {
  response.begin(status, JSON_TYPE);
  response.write(JSON.stringify(body));
  response.end();
}
