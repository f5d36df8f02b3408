/**
 * A launcher as the node daemon runs it: in the real sandbox, with the bridge, tap and packet sockets of one
 * masquerade NIC, spoken to over its socket. Everything is gone when the test is over.
 */
import {
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { connect as connectTo, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Vmi } from "../../src/api/types.ts";
import { BRIDGE_MAC, type Mac } from "../../src/base/mac.ts";
import type { DomainInterface } from "../../src/domain/interface.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import { processesInNetns } from "../../src/linux/sandbox/processes.ts";
import { createSandbox, destroySandbox, spawnInSandbox } from "../../src/linux/sandbox/sandbox.ts";
import type { SandboxProcess } from "../../src/linux/sandbox/types.ts";
import type { NicPlan, Plan } from "../../src/plan/plan.ts";
import type { LauncherStatus, LaunchSpec } from "../../src/vm/launch-spec.ts";
import { type LauncherClient, launcherClient } from "../../src/vm/launcher-client.ts";
import { warmCapabilities } from "../../src/vm/warm-capabilities.ts";
import { vmi } from "./builders.ts";
import { allServices, BRIDGE, GUEST_MAC } from "./guest-configs.ts";
import { eventually, type TestPod, testPod } from "./netns.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const GUEST = join(ROOT, ".cache", "guest");
/** Kept between runs: what it holds is judged by its stamp. */
const CAPABILITIES = join(ROOT, ".cache", "libvirt");
const NODE = join(ROOT, "node_modules", ".bin", "node");
const MAIN = join(ROOT, "src", "apps", "launcher", "main.ts");
const UID = 107;

export interface VmPod {
  readonly pod: TestPod;
  readonly dir: string;
  readonly client: LauncherClient;
  /** A start on this pod's NIC. */
  spec(more?: Partial<LaunchSpec>): LaunchSpec;
  launcher: SandboxProcess;
  /** After the last one was killed. */
  startLauncher(): Promise<void>;
  status(): Promise<LauncherStatus>;
  /** Polls until the status satisfies. */
  until(what: string, met: (status: LauncherStatus) => boolean, ms?: number): Promise<LauncherStatus>;
  /** Processes of the pod by their name, as the host sees them. */
  pidOf(name: string): number;
  /** Inodes of packet sockets in the pod's namespace. */
  packetSockets(): ReadonlySet<string>;
  /** Inodes of the sockets that a process holds. */
  socketsOf(name: string): readonly string[];
  file(name: string): string;
  console(): ConsoleClient;
}

export interface ConsoleClient {
  readonly socket: Socket;
  text(): string;
}

export async function vmPod(t: TestContext, { queues = 0 } = {}): Promise<VmPod> {
  const pod = testPod(t, "vm");
  wire(pod, queues);
  await warmCapabilities(CAPABILITIES);
  const root = mkdtempSync("/run/pt-vm-");
  const dir = join(root, "p");
  mkdirSync(dir, { mode: 0o700 });
  chownSync(dir, UID, UID);
  const sandbox = createSandbox({
    podId: pod.name,
    netnsPath: pod.path,
    hostname: "web",
    resolvConf: "",
    limits: { memoryBytes: 1024 ** 3, pids: 200 },
    dirs: [dir],
    readOnlyDirs: [ROOT],
    devices: ["net/tun"],
    uid: UID,
    gid: UID,
  });
  t.after(async () => {
    await destroySandbox(sandbox);
    rmSync(root, { recursive: true });
  });
  const client = launcherClient(join(dir, "launcher.sock"));
  const consoles: ConsoleClient[] = [];
  t.after(() => {
    for (const { socket } of consoles) socket.destroy();
  });

  const spawn = () => {
    const packets = openPacketSocket(pod.path);
    try {
      return spawnInSandbox(sandbox, {
        argv: [
          NODE,
          "--disable-warning=ExperimentalWarning",
          MAIN,
          "--dir",
          dir,
          "--libvirt-cache",
          CAPABILITIES,
        ],
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        uid: UID,
        gid: UID,
        fds: [packets],
        logFile: join(root, "launcher.log"),
      });
    } finally {
      closeSync(packets);
    }
  };
  const answering = () => eventually("the launcher answers", () => client.status(), 20_000);
  const vm: VmPod = {
    pod,
    dir,
    client,
    spec: (more = {}) => ({ ...bootSpec(), plan: plan(queues), ...more }),
    launcher: spawn(),
    async startLauncher() {
      vm.launcher = spawn();
      await answering();
    },
    status: () => client.status(),
    until: (what, met, ms = 30_000) =>
      eventually(
        what,
        async () => {
          const status = await client.status();
          if (met(status)) return status;
          throw new Error(JSON.stringify(status));
        },
        ms,
      ),
    pidOf(name) {
      const found = processesInNetns(pod.path).filter((pid) => nameOf(pid).startsWith(name));
      if (found.length !== 1) throw new Error(`${found.length} processes named ${name}`);
      return found[0] as number;
    },
    packetSockets: () => {
      const lines = pod.run("cat", "/proc/net/packet").trim().split("\n").slice(1);
      return new Set(lines.map((line) => line.trim().split(/\s+/).at(-1) ?? ""));
    },
    socketsOf: (name) => {
      const folder = `/proc/${vm.pidOf(name)}/fd`;
      const links = readdirSync(folder).map((fd) => readlinkSync(join(folder, fd)));
      return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
    },
    file: (name) => readFileSync(join(dir, name), "utf8"),
    console() {
      const chunks: Buffer[] = [];
      const socket = connectTo(join(dir, "console.sock"));
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      const consoleClient = { socket, text: () => Buffer.concat(chunks).toString("latin1") };
      consoles.push(consoleClient);
      return consoleClient;
    },
  };
  await answering();
  return vm;
}

/** Empty when it ended meanwhile, or is a zombie. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8");
  } catch {
    return "";
  }
}

/** Phase 1 of one masquerade NIC, without its rules. */
function wire(pod: TestPod, queues: number): void {
  pod.run("ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "mtu", "1450", "type", "bridge");
  const multiQueue = queues > 0 ? ["multi_queue"] : [];
  pod.run("ip", "tuntap", "add", "tap0", "mode", "tap", "user", String(UID), ...multiQueue);
  pod.run("ip", "link", "set", "tap0", "mtu", "1450", "addrgenmode", "none", "master", BRIDGE, "up");
  pod.run("ip", "link", "set", BRIDGE, "addrgenmode", "none", "up");
  for (const address of ["10.0.2.1/24", "fd10:0:2::1/120", "fe80::1/64"]) {
    pod.run("ip", "address", "add", address, "dev", BRIDGE, ...(address.includes(":") ? ["nodad"] : []));
  }
}

export function bootSpec(more: Partial<LaunchSpec> = {}, manifest: Vmi = vmi()): LaunchSpec {
  return {
    vmi: manifest,
    plan: plan(0),
    disks: [],
    accelerator: { type: "tcg", reason: "the test says so" },
    ...more,
  };
}

/** The demo guest, by direct kernel boot: READY on its console once it has its addresses. */
export const DEMO_KERNEL = {
  kernelPath: join(GUEST, "vmlinuz"),
  initrdPath: join(GUEST, "initramfs"),
  args: "console=ttyS0 quiet no_timer_check mitigations=off",
};

function plan(queues: number): Plan {
  const nic = { domain: domainNic(queues), services: allServices() } satisfies Partial<NicPlan>;
  // The launcher reads these two parts of a NIC's plan and no other.
  return { version: 1, vmi: { namespace: "default", name: "web", uid: "1" }, nics: [nic as NicPlan] };
}

function domainNic(queues: number): DomainInterface {
  return {
    type: "ethernet",
    alias: "ua-default",
    target: { dev: "tap0", managed: false },
    mac: GUEST_MAC as Mac,
    model: "virtio-non-transitional",
    mtu: 1450,
    ...(queues > 0 && { driver: { name: "qemu", queues } as const }),
    romEnabled: false,
  };
}
