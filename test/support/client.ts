/** DHCP clients and other programs in the guest's place: started, watched, ended with the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { TestPod } from "./netns.ts";

type Lifetime = Pick<TestContext, "after">;

export interface Client {
  readonly process: ChildProcess;
  /** Standard output and error so far. */
  output(): string;
  /** What the hook script was given, by event, the last one of each. */
  event(name: string): ReadonlyMap<string, string> | undefined;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
}

const MARK = "@@event";

/**
 * In the guest's namespace, with empty /run and state folders of its own, so that no client meets another one's
 * leases, sockets or pids. Ended when the test is over.
 */
export function startClient(t: Lifetime, guest: TestPod, ...command: readonly string[]): Client {
  const folders = ["/run", "/var/lib/dhcp", "/var/lib/dhcpcd"];
  const mounts = folders.map((folder) => `[ ! -d ${folder} ] || mount -t tmpfs tmpfs ${folder}`).join("; ");
  const script = `${mounts}; exec "$@"`;
  // The namespace first: its name is under /run.
  const child = spawn(
    "ip",
    [
      "netns",
      "exec",
      guest.name,
      "unshare",
      "-m",
      "--propagation",
      "private",
      "sh",
      "-c",
      script,
      "client",
      ...command,
    ],
    {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C" },
    },
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  t.after(async () => {
    // Asked first: dhcpcd ends its helpers itself. Then the whole group.
    signalGroup(child, "SIGTERM");
    const patience = setTimeout(() => signalGroup(child, "SIGKILL"), 2000);
    await ended;
    clearTimeout(patience);
    signalGroup(child, "SIGKILL");
  });
  return { process: child, output: () => text, event: (name) => lastEvent(text, name), ended };
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // Nobody is left.
  }
}

/** Runs a client to its end. */
export async function runClient(t: Lifetime, guest: TestPod, ...command: readonly string[]): Promise<Client> {
  const client = startClient(t, guest, ...command);
  await client.ended;
  return client;
}

/**
 * A hook script as udhcpc (event in $1), dhclient and dhcpcd ($reason) call it: tells its environment, and puts IPv4
 * addresses on the link, which udhcpc and dhclient leave to it.
 */
export function hookScript(t: Lifetime): string {
  const folder = mkdtempSync(join(tmpdir(), "pt-hook-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "hook");
  writeFileSync(
    path,
    `#!/bin/sh
event=\${reason:-$1}
{ echo "${MARK} $event"; env | sed "s/^/$event /"; } | sed 's/^/  /' >&2
[ "$event" = bound ] && ip address replace "$ip/$mask" dev "$interface"
[ "$event" = BOUND6 ] && [ -n "$new_ip6_address" ] && ip address replace "$new_ip6_address/128" dev "$interface"
exit 0
`,
  );
  chmodSync(path, 0o755);
  return path;
}

function lastEvent(text: string, name: string): ReadonlyMap<string, string> | undefined {
  const start = text.lastIndexOf(`${MARK} ${name}\n`);
  if (start < 0) return undefined;
  const prefix = `  ${name} `;
  const lines = text.slice(start).split("\n").slice(1);
  const end = lines.findIndex((line) => line.includes(MARK));
  return new Map(
    lines
      .slice(0, end < 0 ? lines.length : end)
      .filter((line) => line.startsWith(prefix) && line.includes("="))
      .map((line) => {
        const at = line.indexOf("=");
        return [line.slice(prefix.length, at), line.slice(at + 1)] as const;
      }),
  );
}
