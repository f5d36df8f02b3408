/**
 * What the API serves beside objects: KubeVirt's subresources of a VMI (console, port forwarding), and podtap's own
 * paths, `/podtap/v1/…`.
 */
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Pod, Vmi } from "../../api/types.ts";
import { ApiError, badRequest, notFound } from "../../cluster/api-error.ts";
import type { ApiRoute, Exchange, RouteHandler, StreamRequest } from "../../cluster/local/exchange.ts";
import type { PodIdentity } from "../../cluster/local/pods/machine.ts";
import { identityOf } from "../../cluster/local/pods/pod-runner.ts";
import { type Cluster, PODS, VMIS } from "../../cluster/port.ts";
import { domainName } from "../../domain/domain.ts";
import { launcherFiles } from "../../vm/launcher-files.ts";
import type { Paths } from "../paths.ts";
import type { Ground } from "./ground.ts";
import { podFolders } from "./sandbox-files.ts";

export interface RouteOptions {
  readonly cluster: Cluster;
  readonly ground: Ground;
  readonly paths: Paths;
  effective(vmi: Vmi): Vmi;
  info(): Promise<object>;
  gc(dryRun: boolean): Promise<object>;
  /** false: a condition does not hold. */
  shutdown(asked: ShutdownRequest): Promise<boolean>;
  setImageOverrides(overrides: Readonly<Record<string, string>>): void;
}

export interface ShutdownRequest {
  /** Only without pods, and only if a command had started the daemon. */
  readonly ifIdle: boolean;
  readonly ifStartedByCommand: boolean;
}

type VmiHandler = (found: Found, rest: readonly string[]) => RouteHandler | undefined;

interface Found {
  readonly vmi: Vmi;
  readonly pod: PodIdentity;
}

export function nodeRoutes(options: RouteOptions): readonly ApiRoute[] {
  return [
    { match: (method, segments) => daemonRoute(options, method, segments) },
    {
      match: (_, segments) =>
        vmiRoute(options, ["apis", "subresources.kubevirt.io", "v1"], segments, kubevirtHandlers(options)),
    },
    { match: (_, segments) => vmiRoute(options, ["podtap", "v1"], segments, podtapHandlers(options)) },
  ];
}

function daemonRoute(
  options: RouteOptions,
  method: string,
  segments: readonly string[],
): RouteHandler | undefined {
  if (segments[0] !== "podtap" || segments[1] !== "v1") return undefined;
  const routes: Readonly<Record<string, (exchange: Exchange) => Promise<object>>> = {
    "GET info": () => options.info(),
    "POST gc": async ({ request }) => options.gc((await readJson(request))["dryRun"] === true),
    "POST shutdown": async ({ request }) => {
      const { ifIdle, ifStartedByCommand } = (await readJson(request)) as Partial<Record<string, unknown>>;
      const asked = { ifIdle: ifIdle === true, ifStartedByCommand: ifStartedByCommand === true };
      return { shutdown: await options.shutdown(asked) };
    },
    "PUT config/image-overrides": async ({ request }) => {
      const overrides = await readJson(request);
      if (!Object.values(overrides).every((value) => typeof value === "string" && value !== "")) {
        throw badRequest('image overrides are a map of references: {"quay.io/x": "oci:/path"}');
      }
      options.setImageOverrides(overrides as Record<string, string>);
      return overrides;
    },
  };
  const route = routes[`${method} ${segments.slice(2).join("/")}`];
  return route && { serve: async (exchange) => answer(exchange, await route(exchange)) };
}

function vmiRoute(
  { cluster }: RouteOptions,
  prefix: readonly string[],
  segments: readonly string[],
  handlers: Readonly<Record<string, VmiHandler>>,
): RouteHandler | undefined {
  if (prefix.some((part, i) => segments[i] !== part)) return undefined;
  const [namespaces, namespace = "", kind, name = "", verb = "", ...rest] = segments.slice(prefix.length);
  const handler = Object.hasOwn(handlers, verb) ? handlers[verb] : undefined;
  if (namespaces !== "namespaces" || kind !== "virtualmachineinstances" || handler === undefined)
    return undefined;
  const chosen = async (): Promise<RouteHandler> => {
    const found = await findRunning(cluster, namespace, name);
    const route = handler(found, rest);
    if (route === undefined) throw badRequest(`not understood: ${segments.join("/")}`);
    return route;
  };
  return {
    serve: async (exchange) => {
      const { serve } = await chosen();
      if (serve === undefined) throw badRequest(`${verb} is a stream: ask with Upgrade: podtap-stream`);
      await serve(exchange);
    },
    stream: async (request) => {
      const { stream } = await chosen();
      if (stream === undefined) throw badRequest(`${verb} is not a stream`);
      await stream(request);
    },
  };
}

function kubevirtHandlers({ ground, paths }: RouteOptions): Readonly<Record<string, VmiHandler>> {
  return {
    console: ({ pod }) => ({
      stream: (request) => joinStreams(request, connect(podFolders(paths, pod.id).consoleSocket)),
    }),
    portforward: ({ pod }, [port, protocol = "tcp"]) => {
      const number = Number(port);
      if (!Number.isInteger(number) || number < 1 || number > 65535) return undefined;
      if (protocol !== "tcp") throw badRequest("only tcp is forwarded");
      return {
        stream: async (request) => joinStreams(request, await dial(ground, pod, number)),
      };
    },
  };
}

async function dial(ground: Ground, pod: PodIdentity, port: number): Promise<Socket> {
  try {
    return await ground.dial(pod, port);
  } catch (cause) {
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    throw new ApiError(
      502,
      "ServiceUnavailable",
      `the guest does not take connections to port ${port}${why}`,
      {
        hint: "does something listen there? `podtap console` shows the guest's own view",
        cause,
      },
    );
  }
}

function podtapHandlers(options: RouteOptions): Readonly<Record<string, VmiHandler>> {
  const { ground, paths } = options;
  return {
    plan: ({ vmi, pod }) => ({
      serve: async (exchange) => {
        const preview = await ground.preview(pod, options.effective(vmi));
        if (!preview.ok)
          throw new ApiError(422, "Invalid", preview.problems.map(({ message }) => message).join("; "), {
            ...(preview.problems[0]?.hint !== undefined && { hint: preview.problems[0].hint }),
          });
        answer(exchange, preview.value);
      },
    }),
    domainxml: ({ pod }) => ({
      serve: async ({ response }) => {
        const xml = await ground.machine.launcher(pod).xml();
        response.writeHead(200, { "content-type": "application/xml" }).end(xml);
      },
    }),
    counters: ({ pod }) => ({
      serve: async (exchange) => {
        answer(exchange, { tables: await ground.counters(pod) });
      },
    }),
    logs: ({ vmi, pod }) => ({
      serve: (exchange) => serveLog(exchange, logFile(paths, vmi, pod, exchange.query.get("source"))),
    }),
  };
}

function logFile(paths: Paths, vmi: Vmi, pod: PodIdentity, source: string | null): string {
  const folders = podFolders(paths, pod.id);
  const files = launcherFiles(folders.run);
  const logs: Readonly<Record<string, string>> = {
    launcher: folders.launcherLog,
    serial: files.console.log,
    qemu: files.libvirt.qemuLog(domainName(vmi)),
    libvirtd: files.libvirt.log,
  };
  const file = logs[source ?? "launcher"];
  if (file === undefined) throw badRequest(`source must be one of ${Object.keys(logs).join(", ")}`);
  return file;
}

async function serveLog({ query, response, signal }: Exchange, file: string): Promise<void> {
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  const tail = Number(query.get("tail") ?? Number.NaN);
  let position = 0;
  if (existsSync(file)) {
    const text = readFileSync(file);
    const lines = Number.isNaN(tail) ? text : lastLines(text, tail);
    response.write(lines);
    position = text.length;
  }
  while (query.get("follow") === "true" && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    const size = existsSync(file) ? statSync(file).size : 0;
    // Cut short: the writer began anew.
    if (size < position) position = 0;
    if (size > position) {
      await pipeline(createReadStream(file, { start: position, end: size - 1 }), response, { end: false });
      position = size;
    }
  }
  response.end();
}

const FOLLOW_MS = 200;
/** Far above any map of image overrides. */
const BODY_MAX = 1024 * 1024;

function lastLines(text: Buffer, count: number): Buffer {
  let at = text.at(-1) === 0x0a ? text.length - 1 : text.length;
  for (let lines = 0; lines < count && at > 0; lines++) at = text.lastIndexOf("\n", at - 1);
  return count === 0 ? Buffer.alloc(0) : text.subarray(at <= 0 ? 0 : at + 1);
}

async function findRunning(cluster: Cluster, namespace: string, name: string): Promise<Found> {
  const vmi = await cluster.get<Vmi>({ resource: VMIS, namespace, name });
  if (vmi === undefined) throw notFound(VMIS, name);
  const [pod] = await cluster.list<Pod>(PODS, {
    namespace,
    labelSelector: `kubevirt.io/created-by=${vmi.metadata.uid}`,
  });
  if (pod === undefined || vmi.status?.phase === undefined) {
    throw new ApiError(409, "Conflict", `${name} has no pod yet`, { hint: "`podtap describe vmi` says why" });
  }
  return { vmi, pod: identityOf(pod) };
}

/** Raw bytes between the client and a socket of ours; either end closes both. */
function joinStreams(request: StreamRequest, upstream: Socket): void {
  const client = request.accept();
  upstream.once("error", () => client.destroy());
  client.once("error", () => upstream.destroy());
  client.once("close", () => upstream.destroy());
  upstream.once("close", () => client.end());
  client.pipe(upstream);
  upstream.pipe(client);
}

function answer({ response }: Exchange, body: object): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function readJson(request: Exchange["request"]): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX) throw badRequest(`the body is longer than ${BODY_MAX} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    throw badRequest("the body is not JSON");
  }
  throw badRequest("the body is not a JSON object");
}
