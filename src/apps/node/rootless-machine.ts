/**
 * Pods of an ordinary user: a folder and a launcher that is a plain process of the user's. No namespaces, no control
 * groups, no CNI and no phase 1: the guest has the host's network by a program that needs no right, and what a
 * manifest wants beyond that was refused before (rootless-admission.ts).
 *
 * Theory of operation. Nothing ties the processes of a VM together: the launcher, its libvirtd, QEMU and the program
 * that is the network all lead sessions of their own, so that they outlive the daemon. They name the pod's run folder,
 * in their command line or as their HOME, and its id is in no other process; so they are found by looking through the
 * user's processes, after a crash too. The one that carries frames writes its pid into that folder.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { queueCapacity } from "../../api/defaults.ts";
import type { Vmi } from "../../api/types.ts";
import { podFiles, readPlan, type WireInput } from "../../apply/wire-pod.ts";
import { PodtapError } from "../../base/errors.ts";
import { PRIMARY_POD_INTERFACE } from "../../base/names.ts";
import { ok, type Result } from "../../base/result.ts";
import { registry } from "../../bindings/index.ts";
import type { AttachedNetwork } from "../../cluster/local/cni/attach-networks.ts";
import type { GuestState, PodIdentity, WiredPod } from "../../cluster/local/pods/machine.ts";
import { podResolver } from "../../cluster/local/pods/resolver.ts";
import type { Accelerator } from "../../domain/devices.ts";
import { findPrograms } from "../../linux/features.ts";
import { isRunning, killUntilGone, startTimeOf } from "../../linux/sandbox/processes.ts";
import type { SandboxProcess } from "../../linux/sandbox/types.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { Plan } from "../../plan/plan.ts";
import { planPod } from "../../plan/planner.ts";
import type { PreparedDisks } from "../../vm/disks/prepare-disks.ts";
import type { LauncherClient } from "../../vm/launcher-client.ts";
import { launcherFiles } from "../../vm/launcher-files.ts";
import { copyCapabilities } from "../../vm/libvirt-files.ts";
import { readJson, type UserNetworkState, userNetworkFiles } from "../../vm/user-network/files.ts";
import type { Paths } from "../paths.ts";
import type { GroundParts, NodeMachine } from "./ground.ts";
import { Launchers, launcherCommand } from "./launchers.ts";
import type { RootlessNetwork } from "./rootless-network.ts";
import { busyPort } from "./rootless-ports.ts";
import { type PodFolders, podFolders, removePodFolders } from "./sandbox-files.ts";

export interface RootlessMachineOptions extends Pick<GroundParts, "accelerator" | "disks" | "warn"> {
  readonly paths: Paths;
  network(): RootlessNetwork;
}

/** What is kept of a pod between daemons. */
interface StoredPod {
  readonly pod: PodIdentity;
  readonly launcher: Pick<SandboxProcess, "pid" | "startTime">;
}

const KILL_DEADLINE_MS = 10_000;

export class RootlessMachine implements NodeMachine {
  readonly #options: RootlessMachineOptions;
  readonly #launchers: Launchers;
  readonly #prepared = new Map<string, PreparedDisks>();

  constructor(options: RootlessMachineOptions) {
    this.#options = options;
    const { paths, warn } = options;
    this.#launchers = new Launchers({
      paths,
      warn,
      // Its processes end with nothing: as long as there is a record, a launcher may be started beside them.
      alive: (pod) => readRecord(podFolders(paths, pod.id)),
      spawn: async (pod) => this.#spawnLauncher(pod),
    });
  }

  async startSandbox(pod: PodIdentity, _vmi: Vmi): Promise<void> {
    makeFolders(podFolders(this.#options.paths, pod.id));
    this.#launchers.spawned(pod, this.#spawnLauncher(pod));
  }

  async attachNetworks(_pod: PodIdentity, vmi: Vmi): Promise<readonly AttachedNetwork[]> {
    if ((vmi.spec.networks ?? []).length === 0) return [];
    const { facts } = this.#options.network();
    const ips = [facts.listen];
    return [
      {
        status: { name: "rootless", interface: PRIMARY_POD_INTERFACE, ips, default: true, dns: {} },
        notes: [`the host's own network by ${facts.link}: no pod network without root`],
      },
    ];
  }

  async wire(pod: PodIdentity, vmi: Vmi): Promise<Result<WiredPod>> {
    const begun = performance.now();
    const planned = this.plan(vmi);
    if (!planned.ok) return planned;
    const plan = planned.value;
    const busy = await busyPort(plan.nics.flatMap(({ hostPorts }) => hostPorts ?? []));
    if (busy !== undefined) throw busy;
    writeAtomically(podFiles(podFolders(this.#options.paths, pod.id).state).plan, JSON.stringify(plan));
    return ok({ plan, changes: 0, milliseconds: performance.now() - begun });
  }

  plan(vmi: Vmi): Result<Plan> {
    return planPod({ ...this.wireInput(vmi), observed: this.#options.network().observed }, registry);
  }

  wireInput(vmi: Vmi): WireInput {
    const { facts, notes, resolver } = this.#options.network();
    return {
      vmi,
      resolver: podResolver(vmi.spec, resolver),
      host: {
        runtimeUid: process.getuid?.() ?? 0,
        features: rootlessFeatures(),
        inbound: "declared",
        rootless: facts,
        notes,
      },
      queues: queueCapacity(vmi.spec),
    };
  }

  async prepareDisks(
    pod: PodIdentity,
    vmi: Vmi,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const folders = podFolders(this.#options.paths, pod.id);
    makeFolders(folders);
    this.#prepared.set(pod.id, await this.#options.disks.prepare(vmi, folders.disks, progress, signal));
  }

  async startGuest(pod: PodIdentity, vmi: Vmi, signal: AbortSignal): Promise<Accelerator> {
    const plan = this.storedPlan(pod);
    const prepared = this.#prepared.get(pod.id);
    if (plan === undefined || prepared === undefined) {
      throw new PodtapError({
        code: "PT-NODE-5",
        message: `pod ${pod.name} was started out of order`,
        blame: "podtap",
      });
    }
    const accelerator = await this.#options.accelerator();
    await this.#launchers.whenUp(pod, signal);
    await this.launcher(pod).start({ vmi, plan, accelerator, ...prepared }, signal);
    this.#prepared.delete(pod.id);
    this.#keepCapabilities(pod);
    return accelerator;
  }

  watchGuest(pod: PodIdentity, signal: AbortSignal): AsyncGenerator<GuestState> {
    return this.#launchers.watch(pod, signal);
  }

  async stopGuest(pod: PodIdentity, graceSeconds: number, signal: AbortSignal): Promise<void> {
    await this.#launchers.stop(pod, graceSeconds, signal);
  }

  async adopt(pod: PodIdentity, signal: AbortSignal): Promise<boolean> {
    return await this.#launchers.adopt(pod, signal);
  }

  storedPlan(pod: PodIdentity): Plan | undefined {
    return readPlan(podFiles(podFolders(this.#options.paths, pod.id).state).plan);
  }

  async dismantle({ id }: Pick<PodIdentity, "id">): Promise<void> {
    const folders = podFolders(this.#options.paths, id);
    this.#prepared.delete(id);
    this.#launchers.forget({ id });
    // Also those that these start meanwhile.
    await killUntilGone(
      () => [...processesOf(folders.run), ...carrierOf(folders)],
      KILL_DEADLINE_MS,
      `taking down pod ${id}`,
    );
    removePodFolders(folders);
  }

  async features(): Promise<HostFeatures> {
    return rootlessFeatures();
  }

  attachedPods(): readonly string[] {
    return [];
  }

  launcher(pod: Pick<PodIdentity, "id">): LauncherClient {
    return this.#launchers.of(pod);
  }

  /** For the next VM, which then starts 1.5 s earlier. */
  #keepCapabilities(pod: PodIdentity): void {
    const { paths } = this.#options;
    const { libvirt } = launcherFiles(podFolders(paths, pod.id).run);
    copyCapabilities(libvirt.capabilities, paths.libvirtCache);
  }

  #spawnLauncher(pod: PodIdentity): SandboxProcess {
    const { paths } = this.#options;
    const folders = podFolders(paths, pod.id);
    rmSync(folders.launcherSocket, { force: true });
    const log = openSync(folders.launcherLog, "a", 0o600);
    try {
      const [program, ...args] = launcherCommand(folders.run, paths.libvirtCache);
      const child = spawn(program, args, {
        cwd: "/",
        env: { HOME: folders.run, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        stdio: ["ignore", log, log],
        detached: true,
      });
      const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
        child.once("exit", (code, signal) => resolve({ code, signal }));
        child.once("error", () => resolve({ code: -1, signal: null }));
      });
      child.unref();
      const { pid } = child;
      const startTime = pid === undefined ? undefined : startTimeOf(pid);
      if (pid === undefined || startTime === undefined) {
        throw new PodtapError({
          code: "PT-ROOTLESS-3",
          message: `the launcher of pod ${pod.name} could not be started: ${program}`,
          hint: "does the user have as many processes as it may (`ulimit -u`)?",
          retry: "soon",
          blame: "host",
        });
      }
      const stored: StoredPod = { pod, launcher: { pid, startTime } };
      writeAtomically(folders.record, JSON.stringify(stored));
      return { pid, startTime, exit };
    } finally {
      closeSync(log);
    }
  }
}

/** Nothing is asked of the kernel: whatever it can do, it does for root. */
function rootlessFeatures(): HostFeatures {
  return {
    vhostNet: false,
    dummy: false,
    classifiers: [],
    redirectPeer: false,
    netdevEgress: false,
    macvtap: false,
    ...findPrograms(),
  };
}

/** State first: what has a state folder is found again, whatever else was made. */
function makeFolders({ state, disks, run }: PodFolders): void {
  for (const path of [state, disks, run]) mkdirSync(path, { recursive: true, mode: 0o700 });
}

function readRecord({ record }: PodFolders): StoredPod | undefined {
  try {
    return JSON.parse(readFileSync(record, "utf8")) as StoredPod;
  } catch {
    return undefined;
  }
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Those of this user that name the folder or something in it. */
function processesOf(folder: string): readonly number[] {
  const uid = process.getuid?.();
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!(pid > 1) || pid === process.pid) return false;
      try {
        // Of a process that must not be looked into root owns the folder, but its files tell the user's command line.
        const { uid: owner } = statSync(`/proc/${pid}/task/${pid}`);
        return (
          (owner === uid || owner === 0) &&
          [words(pid, "cmdline"), words(pid, "environ")].flat().some((word) => names(word, folder))
        );
      } catch {
        return false;
      }
    });
}

/** It has a title of its own in the place of a command line. */
function carrierOf({ run }: PodFolders): readonly number[] {
  const carrier = readJson<UserNetworkState>(userNetworkFiles(run).state);
  return carrier !== undefined && isRunning(carrier) ? [carrier.pid] : [];
}

function words(pid: number, file: "cmdline" | "environ"): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8").split("\0");
  } catch {
    return [];
  }
}

function names(word: string, folder: string): boolean {
  const at = word.indexOf(folder);
  return at >= 0 && [undefined, "/", ",", '"', "'"].includes(word[at + folder.length]);
}
