/**
 * A machine of the test's own for the node daemon as users run it: a private network, mount and process namespace, an
 * empty /run, control groups below one of its own, and podtap built from the sources as they are. What podtap changes
 * is changed here and nowhere else, `traces` counts all of it, and when the test ends every process ends with it.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { ApiClient } from "../../src/apps/cli/client.ts";
import { readHierarchies } from "../../src/linux/sandbox/cgroups.ts";
import { processesInNetns } from "../../src/linux/sandbox/processes.ts";
import { eventually } from "./netns.ts";

/** Begins the name of a run's control group; the pid of its owner follows. */
const GROUP = "podtap-test-";
const MARK = "PODTAP_TEST_DAEMON_HOST";
const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
const PROGRAM = "/run/program";
const RUN = "/run/podtap";
const STATE = "/run/state";
const TMP = "/run/tmp";
/** Reaps orphans, as the init of a real machine does. */
const INIT = ["/usr/bin/catatonit", "--"];
const ENVIRONMENT = {
  PATH: process.env["PATH"],
  TMPDIR: TMP,
  PODTAP_RUN_DIR: RUN,
  PODTAP_STATE_DIR: STATE,
};
const GUEST_IMAGES = "/run/guest";
/** Meant to stay, for the next VM. Not so what has another name there: work under way. */
const CACHES = [
  /^\/run\/state\/cache\/accelerator\.json$/,
  /^\/run\/state\/cache\/libvirt\/[^/]+$/,
  /^\/run\/state\/images\/(files|unpacked|tmp)\/$/,
  /^\/run\/state\/images\/(files|unpacked)\/sha256-[0-9a-f]{64}\.json$/,
  /^\/run\/state\/images\/(files|unpacked)\/[0-9a-f]{64}$/,
];
/** For `up`: the demo guest by direct kernel boot, from the local build. */
export const DEMO_IMAGE = "podtap.local/demo-kernel";
export const USE_LOCAL_IMAGES = [
  "--image-override",
  `${DEMO_IMAGE}=oci:${GUEST_IMAGES}:demo-kernel`,
] as const;

/** For `up`: the same guest on a disk, in the place of an image that a manifest names. */
export function diskImage(image: string): readonly string[] {
  return ["--image-override", `${image}=oci:${GUEST_IMAGES}:demo`];
}

/**
 * To be called first in a test file with `import.meta.filename`. Outside, does not return: the process ends with the
 * inner one's status. Without root there is nothing to do; tests are skipped then.
 */
export function onDaemonHost(file: string): void {
  if (process.getuid?.() !== 0) return;
  if (process.env[MARK] !== undefined) {
    enter(process.env[MARK]);
    return;
  }
  const group = `${GROUP}${process.pid}`;
  for (const folder of cgroupMounts()) {
    for (const name of readdirSync(folder)) {
      const owner = name.startsWith(GROUP) ? name.slice(GROUP.length) : "";
      // Of a run that was killed.
      if (/^\d+$/.test(owner) && !existsSync(`/proc/${owner}`)) removeTree(join(folder, name));
    }
  }
  const own = [
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
    "--mount-proc",
  ];
  const inner = [...INIT, process.execPath, ...process.execArgv, file];
  const env = { ...process.env, [MARK]: group };
  const { status } = spawnSync("unshare", [...own, "--", ...inner], { stdio: "inherit", env });
  for (const folder of cgroupMounts()) removeTree(join(folder, group));
  process.exit(status ?? 1);
}

function enter(group: string): void {
  // Copies of other people's namespaces would keep those alive; some are gone before they are named here.
  for (const [point, type] of mounts()) if (type === "nsfs") spawnSync("umount", ["--lazy", point]);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
  for (const mount of cgroupMounts()) {
    mkdirSync(join(mount, group), { recursive: true });
    execFileSync("mount", ["--bind", join(mount, group), mount]);
  }
  execFileSync("ip", ["link", "set", "lo", "up"]);
  for (const folder of [TMP, join(PROGRAM, "bin")]) mkdirSync(folder, { recursive: true });
  execFileSync(process.execPath, ["tools/build.ts", join(PROGRAM, "dist")], { cwd: ROOT });
  copyFileSync(join(ROOT, "bin", "podtap"), join(PROGRAM, "bin", "podtap"));
  symlinkSync(join(ROOT, "node_modules"), join(PROGRAM, "node_modules"));
  // A copy: somebody may build the guest anew meanwhile.
  cpSync(join(ROOT, ".cache", "guest", "oci"), GUEST_IMAGES, { recursive: true });
}

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Command {
  readonly process: ChildProcess;
  /** What it said until now. */
  readonly heard: Omit<Said, "code">;
  readonly ended: Promise<Said>;
}

/** Starts a podtap command. */
export function begin(...words: readonly string[]): Command {
  const child = spawn(join(PROGRAM, "bin", "podtap"), words, {
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    said.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    said.err += chunk;
  });
  const ended = new Promise<Said>((resolve) => child.once("close", (code) => resolve({ ...said, code })));
  return { process: child, heard: said, ended };
}

let manifests = 0;

/** A file with these YAML documents. */
export function manifest(...documents: readonly string[]): string {
  manifests += 1;
  const file = `/run/manifest-${manifests}.yaml`;
  writeFileSync(file, documents.join("\n---\n"));
  return file;
}

/** Runs a podtap command to its end, which must be a good one. */
export async function podtap(...words: readonly string[]): Promise<string> {
  const said = await begin(...words).ended;
  if (said.code === 0) return said.out;
  throw new Error(`podtap ${words.join(" ")}: ${said.code}\n${said.out}${said.err}\n${daemonLog()}`);
}

export interface FoundProcess {
  readonly pid: number;
  readonly parent: number;
  /** As it was started; the name where there is nothing else. */
  readonly command: string;
  /** Killed, and under the kernel's last hand. */
  readonly exiting: boolean;
}

/** `PF_EXITING` of the kernel's sched.h, in the ninth field of proc_pid_stat(5). */
const EXITING = 0x4;

/** Forgets what podtap learned of this machine, as if it had just been installed. */
export function forgetCaches(): void {
  for (const path of ["cache", "images"]) rmSync(join(STATE, path), { recursive: true, force: true });
}

/** Everything that runs on this host, zombies and init left out. */
export function processes(): readonly FoundProcess[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!(pid > 1)) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, parent, , , , , flags] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z" || state === "X") return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const exiting = (Number(flags) & EXITING) !== 0;
      return [{ pid, parent: Number(parent), command: command || stat, exiting }];
    } catch {
      return [];
    }
  });
}

export function daemonPid(): number | undefined {
  return daemonPids()[0];
}

export function daemonPids(): readonly number[] {
  const program = join(PROGRAM, "dist", "node.js");
  return processes().flatMap(({ pid, command }) => (command.includes(program) ? [pid] : []));
}

/** What runs in a pod's sandbox, by the beginning of its command line; the host's pids. */
export function podProcess(podId: string, program: "catatonit" | "launcher" | "libvirtd" | "qemu"): number {
  const path = {
    catatonit: "/usr/bin/catatonit",
    libvirtd: "/usr/sbin/libvirtd",
    qemu: "/usr/bin/qemu-system",
  };
  const inside = new Set(processesInNetns(join(RUN, "netns", podId)));
  const found = processes().filter(
    ({ pid, command }) =>
      inside.has(pid) &&
      (program === "launcher" ? command.includes("launcher.js --dir") : command.startsWith(path[program])),
  );
  if (found.length === 1 && found[0] !== undefined) return found[0].pid;
  throw new Error(`${found.length} times ${program} in pod ${podId}`);
}

export function launcherSocket(podId: string): string {
  return join(RUN, "p", podId, "launcher.sock");
}

/** The daemon's API, without starting one. */
export const api = new ApiClient(join(RUN, "podtap.sock"));

/** As by `kill -9`; returns when it is gone. */
export async function killHard(pid: number): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended by itself: as good.
  }
  await eventually(`${pid} is gone`, () => processes().every((found) => found.pid !== pid));
}

export function daemonLog(): string {
  return existsSync(join(RUN, "node.log")) ? readFileSync(join(RUN, "node.log"), "utf8") : "";
}

/** Whatever podtap may have left behind, one line each: to be compared with what there was before. */
export function traces(): readonly string[] {
  return [
    ...lines("ip", "-oneline", "link", "show").map((line) => `link ${line.split(": ")[1]}`),
    ...lines("ip", "-4", "route", "show", "table", "all").map((line) => `route ${line}`),
    ...lines("ip", "-6", "route", "show", "table", "all").map((line) => `route ${line}`),
    ...lines("ip", "rule", "show").map((line) => `rule ${line}`),
    ...lines("nft", "list", "tables").map((line) => `nft ${line}`),
    ...sysctls("/proc/sys/net/ipv4/conf"),
    ...sysctls("/proc/sys/net/ipv6/conf"),
    `sysctl ip_forward=${readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim()}`,
    // What the outer host has there may be out of reach behind another mount, and goes when its owner takes it away.
    ...mounts()
      .filter(([point]) => !point.startsWith("/run/netns/"))
      .map(([point]) => `mount ${point}`),
    ...cgroupMounts().flatMap((mount) => folders(mount).map((path) => `cgroup ${path}`)),
    ...strangers().map(({ command }) => `process ${command}`),
    ...[RUN, STATE, TMP, "/var/lib/cni"]
      .flatMap(files)
      .filter((path) => !CACHES.some((cache) => cache.test(path)))
      .map((path) => `file ${path}`),
    ...storedObjects().map((name) => `object ${name}`),
  ].toSorted();
}

/** Processes that are neither this test nor its children's business, nor at their end. */
function strangers(): readonly FoundProcess[] {
  return processes().filter(
    ({ pid, parent, exiting }) => pid !== process.pid && parent !== process.pid && !exiting,
  );
}

/** Of the stopped daemon; events, which tell of the past, are left out. */
function storedObjects(): readonly string[] {
  const store = join(STATE, "store.sqlite");
  if (!existsSync(store) || daemonPid() !== undefined) return [];
  // Immutable: a reader of the usual kind leaves files of its own.
  const db = new DatabaseSync(new URL(`file://${store}?immutable=1`), { readOnly: true });
  try {
    const rows = db.prepare("SELECT resource, namespace, name FROM objects WHERE resource != 'events'").all();
    return rows.map(({ resource, namespace, name }) => `${resource} ${namespace}/${name}`);
  } finally {
    db.close();
  }
}

function sysctls(folder: string): readonly string[] {
  return readdirSync(folder).flatMap((link) =>
    readdirSync(join(folder, link)).flatMap((key) => {
      // Write-only, or a secret that only some kernels show.
      if (key === "stable_secret") return [];
      return `sysctl ${join(folder, link, key)}=${readFileSync(join(folder, link, key), "utf8").trim()}`;
    }),
  );
}

function mounts(): readonly (readonly [string, string])[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .trim()
    .split("\n")
    .map((line) => [line.split(" ")[4] ?? "", line.split(" - ")[1]?.split(" ")[0] ?? ""] as const);
}

function cgroupMounts(): readonly string[] {
  const found = readHierarchies();
  return found.unified === undefined ? [...new Set(Object.values(found.v1))] : [found.unified];
}

function folders(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => [join(path, name), ...folders(join(path, name))]);
}

function files(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const own = join(path, entry.name);
    return entry.isDirectory() ? [`${own}/`, ...files(own)] : [own];
  });
}

function removeTree(path: string): void {
  if (!existsSync(path) || !statSync(path).isDirectory()) return;
  for (const folder of [path, ...folders(path)].toReversed()) rmdirSync(folder);
}

function lines(program: string, ...args: readonly string[]): readonly string[] {
  return execFileSync(program, args, { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
