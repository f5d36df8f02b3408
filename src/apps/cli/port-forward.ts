/**
 * `podtap port-forward`: TCP ports of the guest on this machine. The daemon dials the guest from inside the pod's
 * namespace, so it works with every binding and whatever ports are declared.
 */
import { createServer, isIP, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { connect, subresourcePath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import { parseTarget } from "./target.ts";

export interface PortForwardOptions {
  readonly namespace: string;
  readonly address: string;
  readonly stdio?: boolean;
}

export interface Forward {
  /** 0 takes any that is free. */
  readonly local: number;
  readonly remote: number;
}

export async function portForward(
  context: Context,
  name: string,
  ports: readonly string[],
  options: PortForwardOptions,
): Promise<ExitCode> {
  const target = parseTarget(name);
  const forwards = ports.map(parseForward);
  if (options.stdio) {
    const [only, ...more] = forwards;
    if (only === undefined || more.length > 0) throw usageError("--stdio joins exactly one port");
    const dial = await dialer(context, options.namespace, target.name);
    await joinStdio(await dial(only.remote));
    return EXIT.done;
  }
  if (isIP(options.address) === 0) throw usageError(`--address: '${options.address}' is not an IP address`);
  const dial = await dialer(context, options.namespace, target.name);
  const servers: Server[] = [];
  for (const forward of forwards) servers.push(await listen(context, forward, options.address, dial));
  await new Promise<void>((stopped) =>
    context.signal.addEventListener("abort", () => stopped(), { once: true }),
  );
  for (const server of servers) server.close();
  return EXIT.done;
}

type Dial = (port: number) => Promise<Duplex>;

async function dialer(context: Context, namespace: string, name: string): Promise<Dial> {
  const client = connect(context);
  return (port) =>
    client.stream(subresourcePath(namespace, name, "portforward", String(port), "tcp"), {
      method: "GET",
      signal: context.signal,
    });
}

/** `PORT`, `LOCAL:PORT`, `:PORT` (any free one), with `tcp/` before it as virtctl writes it. */
export function parseForward(text: string): Forward {
  const match = /^(?:(tcp|udp)\/)?(?:(\d*):)?(\d+)$/i.exec(text);
  const remote = Number(match?.[3]);
  const local = match?.[2] === undefined ? remote : Number(match[2]);
  if (match === null || remote < 1 || remote > 65535 || local > 65535) {
    throw usageError(`'${text}' is no port forward`, "write PORT or LOCAL:PORT");
  }
  if (match[1]?.toLowerCase() === "udp") throw usageError("UDP is not forwarded", "TCP ports are");
  return { local, remote };
}

async function joinStdio(guest: Duplex): Promise<void> {
  // Either end may close first; ssh closes stdin when it is done.
  await Promise.race([
    pipeline(guest, process.stdout, { end: false }),
    pipeline(process.stdin, guest).then(() => new Promise<void>((closed) => guest.once("close", closed))),
  ]);
}

function listen(context: Context, { local, remote }: Forward, address: string, dial: Dial): Promise<Server> {
  const { terminal } = context;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    void serve(client, () => dial(remote)).catch((failure) => {
      client.destroy();
      if (!context.signal.aborted) terminal.note(`port ${remote}: ${messageOf(failure)}\n`);
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(cannotListen(address, local, cause)));
    server.listen(local, address, () => {
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : local;
      const host = isIP(address) === 6 ? `[${address}]` : address;
      terminal.note(`forwarding ${host}:${port} -> ${remote}\n`);
      resolve(server);
    });
  });
}

async function serve(client: Socket, dial: () => Promise<Duplex>): Promise<void> {
  const guest = await dial();
  try {
    await Promise.all([pipeline(client, guest), pipeline(guest, client)]);
  } catch (failure) {
    // A peer that hangs up in the middle is no news to anybody.
    if (!isHangUp(failure)) throw failure;
  }
}

function isHangUp(failure: unknown): boolean {
  const { code } = failure as NodeJS.ErrnoException;
  return code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

function cannotListen(address: string, port: number, cause: Error): PodtapError {
  const busy = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
  return new PodtapError({
    code: "PT-CLI-2",
    message: `cannot listen on ${address} port ${port}: ${busy ? "somebody else does" : messageOf(cause)}`,
    hint: busy
      ? `choose another: LOCAL:PORT, or :PORT for any that is free`
      : "choose another port or --address",
    cause,
  });
}
