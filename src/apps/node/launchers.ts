/**
 * The launchers of this machine's pods: watched, and started again when one dies under a running guest. Where and
 * as whom they run is the machine's business.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PodtapError } from "../../base/errors.ts";
import type { GuestState, PodIdentity } from "../../cluster/local/pods/machine.ts";
import { isRunning, killUntilGone } from "../../linux/sandbox/processes.ts";
import type { SandboxExit, SandboxProcess } from "../../linux/sandbox/types.ts";
import { type LauncherClient, launcherClient } from "../../vm/launcher-client.ts";
import { lastLines } from "../../vm/log-tail.ts";
import type { Paths } from "../paths.ts";
import { podFolders } from "./sandbox-files.ts";

export interface LaunchersOptions {
  readonly paths: Paths;
  /** The pod lives; with the launcher that was spawned last. undefined: there is nothing to run one in. */
  alive(pod: PodIdentity): { readonly launcher?: Pick<SandboxProcess, "pid" | "startTime"> } | undefined;
  /** Starts another one in a pod that is wired. */
  spawn(pod: PodIdentity): Promise<SandboxProcess>;
  warn(what: string, thrown: unknown): void;
}

/** How often in a row a launcher that dies under a running guest is started again before the guest is given up. */
const RESPAWNS_MAX = 3;
/** A launcher that lived this long did not die of its start. */
const HEALTHY_MS = 60_000;
const LAUNCHER_UP_MS = 15_000;

export class Launchers {
  readonly #options: LaunchersOptions;
  /** Those that this daemon spawned, by pod. */
  readonly #spawned = new Map<string, SandboxProcess>();

  constructor(options: LaunchersOptions) {
    this.#options = options;
  }

  of(pod: Pick<PodIdentity, "id">): LauncherClient {
    return launcherClient(podFolders(this.#options.paths, pod.id).launcherSocket);
  }

  spawned(pod: PodIdentity, launcher: SandboxProcess): void {
    this.#spawned.set(pod.id, launcher);
  }

  forget(pod: Pick<PodIdentity, "id">): void {
    this.#spawned.delete(pod.id);
  }

  /** A launcher that dies is started again: the guest runs on, and the new one takes it over. */
  async *watch(pod: PodIdentity, signal: AbortSignal): AsyncGenerator<GuestState> {
    let respawns = 0;
    for (;;) {
      const since = performance.now();
      let ended = false;
      try {
        for await (const state of this.of(pod).watch(signal)) {
          ended = isOver(state);
          yield state;
        }
      } catch (thrown) {
        if (!signal.aborted) this.#options.warn(`watching pod ${pod.name}`, thrown);
      }
      if (ended || signal.aborted) return;
      respawns = performance.now() - since > HEALTHY_MS ? 1 : respawns + 1;
      if (respawns > RESPAWNS_MAX || !(await this.#respawn(pod, signal))) return;
    }
  }

  async stop(pod: PodIdentity, graceSeconds: number, signal: AbortSignal): Promise<void> {
    const client = this.of(pod);
    // A launcher that is gone has no guest to ask; the sandbox is taken down next.
    const state = await client.status().catch(() => undefined);
    if (state !== undefined) await client.shutdown(graceSeconds, signal);
  }

  async adopt(pod: PodIdentity, signal: AbortSignal): Promise<boolean> {
    if (this.#options.alive(pod) === undefined) return false;
    const state = await this.of(pod)
      .status()
      .catch(() => undefined);
    return state !== undefined || (await this.#respawn(pod, signal));
  }

  /** Until it answers; not longer than it lives. */
  async whenUp(pod: PodIdentity, signal: AbortSignal): Promise<void> {
    const client = this.of(pod);
    const deadline = performance.now() + LAUNCHER_UP_MS;
    let exit: SandboxExit | undefined;
    void this.#spawned.get(pod.id)?.exit.then((how) => {
      exit = how;
    });
    for (;;) {
      signal.throwIfAborted();
      try {
        await client.status();
        return;
      } catch (thrown) {
        if (exit !== undefined) throw this.#ended(pod, exit);
        if (performance.now() > deadline) throw thrown;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #respawn(pod: PodIdentity, signal: AbortSignal): Promise<boolean> {
    const stored = this.#options.alive(pod);
    if (stored === undefined) return false;
    try {
      const { launcher } = stored;
      // One that hangs must not wake up beside its successor.
      if (launcher !== undefined)
        await killUntilGone(() => (isRunning(launcher) ? [launcher.pid] : []), 5_000, "the launcher");
      this.spawned(pod, await this.#options.spawn(pod));
      await this.whenUp(pod, signal);
      return true;
    } catch (thrown) {
      this.#options.warn(`starting the launcher of ${pod.name} again`, thrown);
      return false;
    }
  }

  #ended(pod: PodIdentity, { code, signal }: SandboxExit): PodtapError {
    const said = lastLines(podFolders(this.#options.paths, pod.id).launcherLog, 5);
    return new PodtapError({
      code: "PT-NODE-8",
      message: `the launcher of pod ${pod.name} ended at once (${signal ?? `status ${code}`})${said === "" ? "" : `: ${said}`}`,
      hint: "its last words tell why; was podtap built completely (`make setup`)?",
      retry: "soon",
      blame: "host",
    });
  }
}

/** A launcher is small and long-lived: little young space, no JIT'd code worth a large heap. */
const LAUNCHER_FLAGS = [
  "--max-semi-space-size=1",
  "--max-old-space-size=64",
  "--disable-warning=ExperimentalWarning",
];

export function launcherCommand(runDir: string, libvirtCache: string): readonly [string, ...string[]] {
  return [
    process.execPath,
    ...LAUNCHER_FLAGS,
    // Bundled beside this program.
    join(dirname(fileURLToPath(import.meta.url)), "launcher.js"),
    ...["--dir", runDir],
    ...["--libvirt-cache", libvirtCache],
  ];
}

function isOver({ phase }: GuestState): boolean {
  return phase === "shutdown" || phase === "crashed" || phase === "failed";
}
