/**
 * A node daemon for a benchmark alone: the bundled program in network, mount and PID namespaces of its own, with its
 * own state and run folders, so that it meets no daemon of the host and leaves nothing on it. Everything it started
 * ends with it.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ApiClient } from "../src/apps/cli/client.ts";
import { isReady } from "../src/apps/cli/daemon.ts";
import { daemonCommand } from "../src/apps/cli/daemon-command.ts";
import { type Paths, pathsFrom } from "../src/apps/paths.ts";
import { PodtapError } from "../src/base/errors.ts";
import { TIED_TO_PARENT } from "../src/base/tied.ts";
import { destroySandbox } from "../src/linux/sandbox/sandbox.ts";

export interface OwnDaemon {
  readonly client: ApiClient;
  readonly paths: Paths;
  /** Of the process that everything of the daemon is below. */
  readonly rootPid: number;
  /** What `podtap-bench/kernel` stands for: the demo guest. */
  readonly kernelImage: string;
  close(): Promise<void>;
}

const UP_MS = 30_000;
const WARM_MS = 30_000;
const NAMESPACES = [
  ...["--net", "--mount", "--pid", "--fork", "--kill-child"],
  ...["--propagation", "private", "--mount-proc"],
];
/** Copies of other people's namespaces would keep those alive. */
const PRELUDE = `awk '/ - nsfs /{print $5}' /proc/self/mountinfo | xargs -r umount --lazy 2>/dev/null
ip link set lo up && exec "$@"`;
const IMAGE = "podtap-bench/kernel";

export async function startOwnDaemon(): Promise<OwnDaemon> {
  const program = find("the bundled daemon", ["node.js", "../dist/node.js"]);
  const layout = find("the demo guest", ["../.cache/guest/oci", resolve(".cache/guest/oci")]);
  // Short, because Unix socket paths are.
  const paths = pathsFrom({
    PODTAP_RUN_DIR: `/run/ptb${process.pid}`,
    PODTAP_STATE_DIR: `/var/tmp/ptb${process.pid}`,
  });
  mkdirSync(paths.run, { recursive: true });
  const logFile = join(paths.run, "node.log");
  const log = openSync(logFile, "w", 0o600);
  const daemon = ["catatonit", "--", ...daemonCommand([], program)];
  const [setpriv, ...tied] = TIED_TO_PARENT;
  const child = spawn(
    setpriv,
    [...tied, "unshare", ...NAMESPACES, "--", "sh", "-c", PRELUDE, "sh", ...daemon],
    {
      env: { ...process.env, PODTAP_RUN_DIR: paths.run, PODTAP_STATE_DIR: paths.state },
      stdio: ["ignore", log, log],
    },
  );
  closeSync(log);
  const client = new ApiClient(paths.socket);
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  const close = async (): Promise<void> => {
    client.close();
    child.kill("SIGKILL");
    await ended;
    // Control groups are the host's: they do not go with the namespaces.
    for (const podId of podsOf(paths)) {
      await destroySandbox({ podId, netnsPath: join(paths.netns, podId) });
    }
    for (const path of [paths.run, paths.state]) rmSync(path, { recursive: true, force: true });
  };
  try {
    await until(UP_MS, () => isReady(paths.socket));
    const overrides = { [IMAGE]: `oci:${layout}:demo-kernel` };
    await client.request("/podtap/v1/config/image-overrides", { method: "PUT", body: overrides });
    // What a daemon learns once of a machine, in the background: a VM that comes earlier pays for it.
    await client.request("/podtap/v1/info");
    await until(WARM_MS, () => existsSync(join(paths.libvirtCache, "stamp")));
  } catch (cause) {
    const said = readFileSync(logFile, "utf8").slice(-2000);
    await close();
    throw new PodtapError({ code: "PT-BENCH-1", message: `the daemon did not come up: ${said}`, cause });
  }
  return { client, paths, rootPid: child.pid ?? 0, kernelImage: IMAGE, close };
}

function podsOf(paths: Paths): readonly string[] {
  const folder = dirname(paths.podState("x"));
  return existsSync(folder) ? readdirSync(folder) : [];
}

async function until(milliseconds: number, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + milliseconds;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${milliseconds} ms`);
    await pause(20);
  }
}

/** Beside this file: in dist/ as bundled, in bench/ as source. */
function find(what: string, candidates: readonly string[]): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const found = candidates.map((path) => resolve(here, path)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-BENCH-2",
    message: `${what} is missing: ${candidates.join(", ")}`,
    hint: "run `make setup guest` in the checkout, and the benchmark from there",
  });
}
