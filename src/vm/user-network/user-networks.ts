/**
 * The launcher's side of user networks: has the process beside QEMU run, and tells how the networks are. A launcher
 * that finds one running goes on with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, type FSWatcher, openSync, rmSync, watch } from "node:fs";
import { basename, dirname, join } from "node:path";
import { PodtapError } from "../../base/errors.ts";
import type { NicPlan } from "../../plan/plan.ts";
import { lastLines } from "../log-tail.ts";
import {
  readJson,
  startTimeOf,
  type UserNetworkFiles,
  type UserNetworkState,
  type UserNetworkStatus,
  writeJson,
} from "./files.ts";

export interface UserNetworksOptions {
  readonly files: UserNetworkFiles;
  /** Folder of QEMU's sockets. */
  readonly sockets: string;
  /** Runs the process, but for the file that says what to run. */
  readonly command: readonly [string, ...string[]];
  readonly changed: (networks: readonly UserNetworkStatus[]) => void;
  readonly log: (message: string) => void;
}

/** An adopted process is nobody's child here. */
const LOOK_MS = 500;
const RESPAWN_MS = 200;
const UP_DEADLINE_MS = 20_000;
/** Ends in a row, before it ever ran, that are no accident. */
const HOPELESS_RESTARTS = 3;

export class UserNetworks {
  readonly #options: UserNetworksOptions;
  #watcher: FSWatcher | undefined;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wanted = false;
  #told = "";
  #networks: readonly UserNetworkStatus[] = [];
  #waiting: (() => void)[] = [];

  constructor(options: UserNetworksOptions) {
    this.#options = options;
  }

  /** Idempotent. Nothing is done for a VM without such a NIC. */
  start(nics: readonly Pick<NicPlan, "name" | "mac" | "userNetwork">[]): void {
    const { files, sockets } = this.#options;
    const networks = nics.flatMap(({ name, mac, userNetwork: plan }) => {
      if (plan === undefined) return [];
      const qemuSocket = join(sockets, plan.socket);
      return [{ nic: name, mac, plan, qemuSocket, programSocket: `${qemuSocket}.p` }];
    });
    if (networks.length === 0 || this.#wanted) return;
    this.#wanted = true;
    writeJson(files.spec, { state: files.state, networks });
    this.#watcher = watch(dirname(files.state), (_event, name) => {
      if (name === basename(files.state)) this.#look();
    });
    if (this.#alive() === undefined) this.#spawn();
    this.#timer = setInterval(() => this.#check(), LOOK_MS);
    this.#timer.unref();
    this.#look();
  }

  /** Resolves when frames flow on all of them. @throws PodtapError `PT-LAUNCHER-12` when one does not come up. */
  async whenUp(): Promise<void> {
    const deadline = performance.now() + UP_DEADLINE_MS;
    while (this.#wanted) {
      const bad = this.#networks.find(
        ({ state, restarts, reason }) =>
          state !== "up" && reason !== undefined && restarts >= HOPELESS_RESTARTS,
      );
      if (bad !== undefined || performance.now() > deadline) throw this.#notUp(bad);
      if (this.#networks.length > 0 && this.#networks.every(({ state }) => state === "up")) return;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        setTimeout(resolve, LOOK_MS).unref();
      });
    }
  }

  /** QEMU is gone, and so are they. */
  stop(): void {
    this.release();
    const pid = this.#alive() ?? this.#child?.pid;
    if (pid !== undefined) kill(pid);
    this.#child = undefined;
    rmSync(this.#options.files.state, { force: true });
    this.#networks = [];
  }

  /** Looks no longer; they run on. */
  release(): void {
    this.#wanted = false;
    this.#watcher?.close();
    clearInterval(this.#timer);
  }

  #spawn(): void {
    const { command, files, log } = this.#options;
    // Without their carrier they are about to end; until they have, their successors find the ports taken.
    for (const { pid, startTime } of readJson<UserNetworkState>(files.state)?.networks ?? []) {
      if (pid !== undefined && startTimeOf(pid) === startTime) kill(pid, "SIGKILL");
    }
    rmSync(files.state, { force: true });
    const fd = openSync(files.log, "a", 0o600);
    let child: ChildProcess;
    try {
      const [program, ...args] = command;
      child = spawn(program, [...args, files.spec], {
        stdio: ["ignore", fd, fd],
        detached: true,
        env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
      });
    } finally {
      closeSync(fd);
    }
    child.unref();
    child.once("error", ({ message }) => log(`the process of user networks: ${message}`));
    child.once("exit", (code, signal) => {
      if (!this.#wanted) return;
      log(`the process of user networks ended (${signal ?? `status ${code}`}); starting another one`);
      setTimeout(() => {
        if (this.#wanted && this.#alive() === undefined) this.#spawn();
      }, RESPAWN_MS).unref();
    });
    // Until it has written its own state, this alone says that it lives.
    this.#child = child;
  }

  #check(): void {
    const mine =
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
    if (mine || this.#alive() !== undefined) return;
    this.#spawn();
  }

  #look(): void {
    const networks = readJson<UserNetworkState>(this.#options.files.state)?.networks ?? [];
    const text = JSON.stringify(networks);
    if (text === this.#told || !this.#wanted) return;
    this.#told = text;
    for (const now of networks) this.#logChange(now);
    this.#networks = networks;
    this.#options.changed(networks);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #logChange(now: UserNetworkStatus): void {
    const before = this.#networks.find(({ nic }) => nic === now.nic);
    if (before?.state === now.state && before.restarts === now.restarts) return;
    const why = now.state === "down" ? `: it ${now.reason}` : "";
    this.#options.log(`${now.program} of NIC ${now.nic} is ${now.state}${why}`);
  }

  #alive(): number | undefined {
    const state = readJson<UserNetworkState>(this.#options.files.state);
    return state !== undefined && startTimeOf(state.pid) === state.startTime ? state.pid : undefined;
  }

  #notUp(bad: UserNetworkStatus | undefined): PodtapError {
    const said = bad?.reason ?? lastLines(this.#options.files.log, 3);
    return new PodtapError({
      code: "PT-LAUNCHER-12",
      message: `${bad?.program ?? "the user network"} of NIC ${bad?.nic ?? this.#networks[0]?.nic ?? "?"} did not come up: ${said || "it said nothing"}`,
      hint: "`podtap plan` shows what it was asked for; its log is user-network.log in the pod's folder",
      retry: "soon",
    });
  }
}

function kill(pid: number, signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}
