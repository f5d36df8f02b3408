/**
 * The process beside QEMU that keeps the user networks of one VM: their programs, and the frames between those and
 * QEMU. It outlives the launcher, as QEMU does, and says how things are in a file; SIGTERM ends it and its programs.
 */
import { messageOf } from "../../base/errors.ts";
import { Carrier } from "./carrier.ts";
import { readJson, startTimeOf, type UserNetworkSpec, type UserNetworkStatus, writeJson } from "./files.ts";
import { Program } from "./program.ts";

export function runUserNetwork(specFile: string, log: (message: string) => void): void {
  const spec = readJson<UserNetworkSpec>(specFile);
  if (spec === undefined) {
    log(`${specFile} says nothing`);
    process.exitCode = 2;
    return;
  }
  process.title = "podtap-usernet";
  const states = new Map<string, UserNetworkStatus>();
  const tell = (status: UserNetworkStatus): void => {
    states.set(status.nic, status);
    const startTime = startTimeOf(process.pid) ?? "";
    writeJson(spec.state, { pid: process.pid, startTime, networks: [...states.values()] });
  };
  const networks = spec.networks.map((network) => keepNetwork(network, tell, log));
  process.on("SIGTERM", () => {
    for (const close of networks) close();
    process.exit(0);
  });
  process.on("uncaughtException", (problem) => {
    log(`unexpected: ${messageOf(problem)}`);
    process.exit(1);
  });
}

function keepNetwork(
  { nic, mac, plan, qemuSocket, programSocket }: UserNetworkSpec["networks"][number],
  tell: (status: UserNetworkStatus) => void,
  log: (message: string) => void,
): () => void {
  let status: UserNetworkStatus = { nic, program: plan.program, state: "starting", restarts: -1 };
  const connected = { qemu: false, program: false };
  const update = (change: Partial<UserNetworkStatus>): void => {
    status = { ...status, ...change };
    tell(status);
  };
  const carrier = new Carrier({
    qemuSocket,
    programSocket,
    mac,
    log,
    changed: (side, now) => {
      connected[side] = now;
      if (connected.program && connected.qemu) update({ state: "up" });
      else if (status.state === "up" && connected.program) update({ state: "starting" });
    },
  });
  const program = new Program({
    plan,
    socket: programSocket,
    log,
    started: (one) => {
      const { pid } = one;
      const startTime = pid === undefined ? undefined : startTimeOf(pid);
      const known = { ...(pid !== undefined && { pid }), ...(startTime !== undefined && { startTime }) };
      update({ state: "starting", restarts: status.restarts + 1, ...known });
      carrier.dialProgram(() => pid !== undefined && pid === status.pid);
    },
    ended: (reason) => {
      const { pid: _gone, startTime: _too, ...rest } = status;
      status = rest;
      log(`${plan.program} of NIC ${nic} ${reason}`);
      update({ state: "down", reason });
    },
  });
  return () => {
    program.close();
    carrier.close();
  };
}
