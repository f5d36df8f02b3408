/** Small talk over TCP and UDP between namespaces, by socat: who answers, and as whom the asker is seen. */
import { execFile, spawn } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import type { NamespaceGuest } from "./namespace-guest.ts";
import { eventually, type TestPod } from "./netns.ts";

export type Protocol = "tcp" | "udp";
type Place = Pick<TestPod, "name"> | Pick<NamespaceGuest, "netns">;

/** `refused` by an answer, `silence` without one, otherwise what the server said. */
export type Answer = string | "refused" | "silence";

/** Answers `<label> <address of the asker>` on a port of both families until the test is over. */
export async function listen(
  t: { after(fn: () => void): void },
  place: Place,
  label: string,
  protocol: Protocol,
  port: number,
): Promise<void> {
  const kind =
    protocol === "tcp"
      ? `TCP6-LISTEN:${port},fork,reuseaddr,ipv6only=0`
      : `UDP6-LISTEN:${port},fork,reuseaddr,ipv6only=0`;
  // What nobody reads would end socat before the answer is out.
  const script = `SYSTEM:read asked; echo ${label} $SOCAT_PEERADDR`;
  const server = spawn("ip", ["netns", "exec", netnsOf(place), "socat", "-T5", kind, script], {
    stdio: "ignore",
    detached: true,
  });
  t.after(() => {
    try {
      if (server.pid !== undefined) process.kill(-server.pid, "SIGKILL");
    } catch {
      // It ended with its namespace.
    }
  });
  const deadline = performance.now() + 5000;
  while (!(await bound(place, protocol, port))) {
    if (performance.now() > deadline) throw new Error(`nobody listens on ${protocol} ${port}`);
    await wait(10);
  }
}

export async function ask(place: Place, ip: string, protocol: Protocol, port: number): Promise<Answer> {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const target = protocol === "tcp" ? `TCP:${host}:${port},connect-timeout=0.7` : `UDP:${host}:${port}`;
  const { stdout, stderr } = await run(
    "ip",
    ["netns", "exec", netnsOf(place), "socat", "-t0.7", "-T0.7", "-", target],
    "?\n",
  );
  const said = stdout.trim().replaceAll(/\[|\]/g, "").replace("::ffff:", "");
  if (said !== "") return compress(said);
  return /refused|unreachable|prohibited|administratively/i.test(stderr) ? "refused" : "silence";
}

/** As `ask`, for an answer that is owed: on a busy machine the first question may be lost to its deadline. */
export async function answer(place: Place, ip: string, protocol: Protocol, port: number): Promise<Answer> {
  return eventually(`an answer from ${protocol} ${ip} ${port}`, async () => {
    const said = await ask(place, ip, protocol, port);
    return said === "silence" ? undefined : said;
  });
}

/** socat writes IPv6 addresses in full. */
function compress(said: string): string {
  const [label = "", address = ""] = said.split(" ");
  if (!address.includes(":")) return said;
  const groups = address.split(":").map((group) => Number.parseInt(group, 16));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `${label} ${[groups[6] ?? 0, groups[7] ?? 0].flatMap((group) => [group >> 8, group & 255]).join(".")}`;
  }
  const text = groups.map((group) => group.toString(16)).join(":");
  return `${label} ${text.replace(/(^|:)0(:0)+(:|$)/, "::")}`;
}

async function bound(place: Place, protocol: Protocol, port: number): Promise<boolean> {
  const { stdout } = await run(
    "ip",
    ["netns", "exec", netnsOf(place), "ss", "-Hln", protocol === "tcp" ? "-t" : "-u", `sport = :${port}`],
    "",
  );
  return stdout.trim() !== "";
}

function netnsOf(place: Place): string {
  return "netns" in place ? place.netns : place.name;
}

function run(
  program: string,
  args: readonly string[],
  input: string,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 5000 }, (_, stdout, stderr) =>
      resolve({ stdout, stderr }),
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
