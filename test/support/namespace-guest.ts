/**
 * A guest without a machine: a network namespace whose `eth0` is joined to the pod's tap from the user's side, as
 * QEMU would be. Real DHCP clients and load tools run in it at native speed, and the kernel cannot tell.
 *
 *   pod ── k6t-eth0 ── tap0 ──( relay, uid 107 )── eth0, namespace guest
 *
 * Promises: MAC and MTU are as given; IPv6 starts as in a guest (RA accepted); the host's resolv.conf is out of
 * reach of DHCP clients; stop() ends every process inside and leaves nothing, and may be called again.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { relayProgram, streamGuestProgram } from "./relay.ts";

export interface NamespaceGuestSpec {
  /** Name as `ip netns` knows it, or a path. */
  readonly podNetns: string;
  readonly tap: string;
  /** Instead of the tap: where to listen for whoever carries the frames, as QEMU does for a user network. */
  readonly socket?: string;
  readonly mac: string;
  /** Owner of the tap. Default 107. */
  readonly uid?: number;
  /** Default 1500. A real guest is told by virtio. */
  readonly mtu?: number;
  /** Default 1; more only for a tap made with `multi_queue`. */
  readonly queues?: number;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Default 30 s; after it the program is killed and the promise rejects. */
  readonly milliseconds?: number;
}

export interface NamespaceGuest {
  readonly netns: string;
  readonly nic: "eth0";
  readonly relayPid: number;
  /** Runs a program inside to its end. */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<Outcome>;
  /** Standard output of a program; rejects when it fails. */
  read(command: string, ...args: readonly string[]): Promise<string>;
  /** Starts a program that stays; stop() ends it. */
  start(command: string, args?: readonly string[]): ChildProcess;
  resolvConf(): string;
  stop(): Promise<void>;
}

const script = join(import.meta.dirname, "udhcpc-script.sh");
let made = 0;

export async function startNamespaceGuest(spec: NamespaceGuestSpec): Promise<NamespaceGuest> {
  made += 1;
  const netns = `pt-guest-${process.pid}-${made}`;
  const etc = `/etc/netns/${netns}`;
  execFileSync("ip", ["netns", "add", netns]);
  // `ip netns exec` binds this over /etc/resolv.conf, in a mount namespace of its own.
  mkdirSync(etc, { recursive: true });
  writeFileSync(join(etc, "resolv.conf"), "");
  const children = new Set<ChildProcess>();
  try {
    execFileSync("ip", ["-n", netns, "link", "set", "lo", "up"]);
    // A guest has an address when it needs one, not a second later.
    const keys = ["accept_dad=0", "router_solicitation_delay=0"].map((key) => `net.ipv6.conf.default.${key}`);
    execFileSync("ip", ["netns", "exec", netns, "sysctl", "-qw", ...keys]);
    const relay = await startRelay(netns, spec);
    return guestOf({ netns, etc, relay, children });
  } catch (thrown) {
    await remove(netns, etc, children);
    throw thrown;
  }
}

/** What udhcpc was given, by its own variable names: ip, mask, router, dns, search, mtu, hostname, staticroutes … */
export type UdhcpcLease = Readonly<Record<string, string>>;

/** A lease by busybox's DHCP client, applied to the NIC; undefined when nobody answers. */
export async function udhcpc(
  guest: NamespaceGuest,
  more: readonly string[] = [],
): Promise<UdhcpcLease | undefined> {
  const wanted = ["search", "staticroutes", "mtu", "tftp", "bootfile", "ntpsrv"].flatMap((option) => [
    "-O",
    option,
  ]);
  const once = ["-f", "-n", "-q", "-t", "4", "-T", "1", "-i", guest.nic, "-s", script];
  const { code, stdout } = await guest.exec("udhcpc", [...once, ...wanted, ...more]);
  if (code !== 0) return undefined;
  const lines = stdout.split("\n").filter((line) => line.startsWith("lease:"));
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf("=");
      return [line.slice("lease:".length, equals), line.slice(equals + 1)];
    }),
  );
}

/** An IPv6 address by dhclient, put on the NIC by its own script. The client stays, and remembers nothing. */
export async function dhclient6(guest: NamespaceGuest): Promise<void> {
  const files = ["-lf", "/dev/null", "-pf", "/dev/null"];
  const { code, stderr } = await guest.exec("dhclient", ["-6", "-1", "-v", ...files, guest.nic]);
  if (code !== 0) throw new Error(`dhclient: ${stderr}`);
}

async function startRelay(netns: string, spec: NamespaceGuestSpec): Promise<ChildProcess> {
  const pod = spec.podNetns.includes("/") ? spec.podNetns : `/run/netns/${spec.podNetns}`;
  const { mtu = 1500, uid = 107, queues = 1 } = spec;
  const nic = [`/run/netns/${netns}`, "eth0", spec.mac, mtu, uid];
  const [program, args] =
    spec.socket === undefined
      ? [relayProgram(), [pod, spec.tap, ...nic, queues]]
      : [streamGuestProgram(), [spec.socket, ...nic]];
  const relay = spawn(program, args.map(String), { stdio: ["ignore", "pipe", "pipe"] });
  await new Promise<void>((resolve, reject) => {
    let said = "";
    relay.once("error", reject);
    relay.stderr.on("data", (data: Buffer) => {
      said += data.toString();
    });
    relay.once("exit", (code) =>
      reject(new Error(`relay to ${spec.tap} ended with ${code}: ${said.trim()}`)),
    );
    relay.stdout.once("data", () => resolve());
  });
  return relay;
}

interface Parts {
  readonly netns: string;
  readonly etc: string;
  readonly relay: ChildProcess;
  readonly children: Set<ChildProcess>;
}

function guestOf({ netns, etc, relay, children }: Parts): NamespaceGuest {
  const begin = (command: string, args: readonly string[], options: ExecOptions = {}): ChildProcess => {
    const child = spawn("ip", ["netns", "exec", netns, command, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...options.environment },
    });
    children.add(child);
    child.once("close", () => children.delete(child));
    child.stdin?.on("error", () => undefined);
    return child;
  };
  let stopped = false;
  const exec: NamespaceGuest["exec"] = (command, args = [], options = {}) => {
    const child = begin(command, args, options);
    child.stdin?.end(options.input ?? "");
    return outcomeOf(child, [command, ...args].join(" "), options.milliseconds ?? 30_000);
  };
  return {
    netns,
    nic: "eth0",
    relayPid: relay.pid ?? 0,
    exec,
    read: async (command, ...args) => {
      const { code, stdout, stderr } = await exec(command, args);
      if (code !== 0)
        throw new Error(`${command} ${args.join(" ")} in ${netns} ended with ${code}: ${stderr.trim()}`);
      return stdout;
    },
    start: (command, args = []) => {
      const child = begin(command, args);
      child.stdout?.resume();
      child.stderr?.resume();
      return child;
    },
    resolvConf: () => readFileSync(join(etc, "resolv.conf"), "utf8"),
    stop: async () => {
      if (stopped) return;
      stopped = true;
      relay.removeAllListeners("exit");
      await remove(netns, etc, new Set([...children, relay]));
    },
  };
}

function outcomeOf(child: ChildProcess, what: string, milliseconds: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${what}: not done within ${milliseconds} ms; it said: ${stdout}${stderr}`));
    }, milliseconds);
    child.stdout?.on("data", (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr?.on("data", (data: Buffer) => {
      stderr += data.toString();
    });
    child.once("error", reject);
    const end = (code: number | null): void => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, stdout, stderr });
    };
    child.once("close", end);
    // A daemon that it left behind keeps the pipes open; what was said is there by then.
    child.once("exit", (code) => setTimeout(end, 200, code).unref());
  });
}

/** Daemons that left our process group are found by the namespace they are in. */
async function remove(netns: string, etc: string, children: ReadonlySet<ChildProcess>): Promise<void> {
  const gone = [...children].map(
    (child) =>
      new Promise<void>((resolve) =>
        child.exitCode === null && child.signalCode === null
          ? child.once("exit", () => resolve())
          : resolve(),
      ),
  );
  for (const child of children) child.kill("SIGKILL");
  const pids = execFileSync("ip", ["netns", "pids", netns], { encoding: "utf8" }).split("\n").filter(Boolean);
  for (const pid of pids) killQuietly(Number(pid));
  await Promise.race([Promise.all(gone), wait(2000, undefined, { ref: false })]);
  execFileSync("ip", ["netns", "delete", netns]);
  rmSync(etc, { recursive: true, force: true });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}
