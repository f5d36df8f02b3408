/** Ports of the host that a VM is about to take: one that is taken already is told before the VM starts. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { HOST_PORTS_ANNOTATION } from "../../api/annotations.ts";
import { PodtapError } from "../../base/errors.ts";
import type { HostPorts } from "../../plan/plan.ts";

/** Of a long range the rest is left to the program that takes them: it tells, too, only later. */
const TRIED_MAX = 256;

export async function busyPort(ports: readonly HostPorts[]): Promise<PodtapError | undefined> {
  const each = ports.flatMap(({ protocol, listen, host, start, end }) =>
    Array.from({ length: end - start + 1 }, (_, at) => ({ protocol, listen, port: host + at })),
  );
  for (const { protocol, listen, port } of each.slice(0, TRIED_MAX)) {
    const address = listen === "*" ? undefined : listen;
    const why = await (protocol === "tcp" ? tryTcp(address, port) : tryUdp(address, port));
    if (why !== undefined) return refusal(`${address ?? "*"} port ${port}/${protocol}`, why);
  }
  return undefined;
}

async function tryTcp(host: string | undefined, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    await once(server.listen({ port, exclusive: true, ...(host !== undefined && { host }) }), "listening");
    await new Promise((closed) => server.close(closed));
    return undefined;
  } catch (thrown) {
    return codeOf(thrown);
  }
}

async function tryUdp(address: string | undefined, port: number): Promise<string | undefined> {
  const socket = createSocket(address === undefined || address.includes(":") ? "udp6" : "udp4");
  try {
    socket.bind({ port, exclusive: true, ...(address !== undefined && { address }) });
    await once(socket, "listening");
    socket.close();
    return undefined;
  } catch (thrown) {
    return codeOf(thrown);
  }
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException).code ?? "unknown";
}

function refusal(port: string, why: string): PodtapError {
  return new PodtapError({
    code: "PT-ROOTLESS-4",
    message: `the host's ${port} cannot be listened on (${why})`,
    hint: `end what has it (\`ss -ltnup\`), or say which port to take by the annotation ${HOST_PORTS_ANNOTATION}: "8080:80"`,
  });
}
