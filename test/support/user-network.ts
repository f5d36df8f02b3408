/**
 * A NIC's user network as the launcher has it run: the process beside QEMU, in the pod's network, as the launcher's
 * uid without any right.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NicPlan } from "../../src/plan/plan.ts";
import {
  readJson,
  type UserNetworkState,
  type UserNetworkStatus,
  userNetworkFiles,
  writeJson,
} from "../../src/vm/user-network/files.ts";
import { eventually } from "./netns.ts";
import { repository } from "./repository.ts";

const UID = 107;

export interface UserNetwork {
  /** Where the guest listens. */
  readonly socket: string;
  status(): UserNetworkStatus | undefined;
  /** Until frames flow. */
  up(): Promise<UserNetworkStatus>;
  /** The carrier is killed and another one started, as a launcher does. */
  replace(): Promise<void>;
}

/** Of a NIC with a `userNetwork`; it waits for the guest to listen. */
export function startUserNetwork(
  t: { after(fn: () => unknown): void },
  netns: string,
  { name, mac, userNetwork: plan }: NicPlan,
): UserNetwork {
  if (plan === undefined) throw new Error(`${name} has no user network`);
  const dir = mkdtempSync("/run/pt-un-");
  chownSync(dir, UID, UID);
  const files = userNetworkFiles(dir);
  const socket = join(dir, plan.socket);
  const spec = { nic: name, mac, plan, qemuSocket: socket, programSocket: `${socket}.p` };
  writeJson(files.spec, { state: files.state, networks: [spec] });
  chownSync(files.spec, UID, UID);
  let child = spawnIn(netns, files.spec);
  t.after(async () => {
    await killed(child, "SIGTERM");
    rmSync(dir, { recursive: true, force: true });
  });
  const status = () => readJson<UserNetworkState>(files.state)?.networks[0];
  return {
    socket,
    status,
    up: () =>
      eventually(
        `${plan.program} is up`,
        () => {
          const now = status();
          if (now?.state === "up") return now;
          throw new Error(JSON.stringify(now));
        },
        20_000,
      ),
    async replace() {
      await killed(child, "SIGKILL");
      rmSync(files.state, { force: true });
      child = spawnIn(netns, files.spec);
    },
  };
}

function spawnIn(netns: string, spec: string): ChildProcess {
  const unprivileged = [
    ...[`--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"],
    "--no-new-privs",
  ];
  const program = [
    ...[process.execPath, "--disable-warning=ExperimentalWarning"],
    ...[join(repository(), "src/apps/launcher/main.ts"), "--user-network", spec],
  ];
  const args = [`--net=${netns}`, "setpriv", ...unprivileged, "--", ...program];
  return spawn("nsenter", args, { stdio: "ignore" });
}

function killed(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
