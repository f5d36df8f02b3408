/**
 * Phase 1 and the responders in a process of their own, as the daemon has them, which can be killed at any moment.
 * Nothing of it is kept but what is in the pods' state folders: the next one reads that.
 *
 * Run as a program (`PODTAP_MATRIX_ENGINE`) this file is that process; requests and answers go over Node's IPC.
 */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync } from "node:fs";
import {
  podFiles,
  previewPod,
  readPlan,
  unwirePod,
  type WireInput,
  wirePod,
} from "../../../src/apply/wire-pod.ts";
import { messageOf } from "../../../src/base/errors.ts";
import type { Problem } from "../../../src/base/problem.ts";
import { registry } from "../../../src/bindings/index.ts";
import { openKernel } from "../../../src/linux/kernel.ts";
import { packetPort } from "../../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../../src/linux/packet-socket.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { type GuestServices, guestServices } from "../../../src/vm/guest-services.ts";

export interface PodPlace {
  readonly netns: string;
  readonly stateDir: string;
}

interface WireOrder extends PodPlace {
  readonly input: WireInput;
}

export type WireOutcome =
  | { readonly plan: Plan; readonly steps: readonly string[] }
  | { readonly problems: readonly Problem[] };

const jobs = {
  wire: ({ netns, stateDir, input }: WireOrder): WireOutcome =>
    withKernel(netns, (kernel) => outcomeOf(wirePod(kernel, input, podFiles(stateDir), registry))),
  /** What would be done, undone. */
  preview: ({ netns, stateDir, input }: WireOrder): WireOutcome =>
    withKernel(netns, (kernel) => outcomeOf(previewPod(kernel, input, podFiles(stateDir), registry))),
  /** What could not be undone. */
  unwire: ({ netns, stateDir }: PodPlace): readonly string[] =>
    withKernel(netns, (kernel) => unwirePod(kernel, podFiles(stateDir)).map(messageOf)),
  /** Starts the responders of the stored plan. */
  serve: ({ netns, stateDir }: PodPlace): void => serve(netns, readPlan(podFiles(stateDir).plan)),
  silence: ({ netns }: Pick<PodPlace, "netns">): void => silence(netns),
} as const;

type Jobs = typeof jobs;

export interface Engine {
  call<K extends keyof Jobs>(op: K, args: Parameters<Jobs[K]>[0]): Promise<ReturnType<Jobs[K]>>;
  /** kill -9; resolves when it is dead. */
  kill(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export function startEngine(): Engine {
  const child = fork(import.meta.filename, {
    env: { ...process.env, PODTAP_MATRIX_ENGINE: "1", NODE_TEST_CONTEXT: "" },
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  child.on("message", (reply) => {
    const { id } = reply as Reply;
    waiting.get(id)?.(reply as Reply);
    waiting.delete(id);
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void gone.then(() => {
    for (const settle of waiting.values()) settle({ id: 0, error: "the engine is dead" });
  });
  return {
    call: (op, args) => {
      lastId += 1;
      const id = lastId;
      return new Promise((resolve, reject) => {
        waiting.set(id, ({ error, value }) =>
          error === undefined ? resolve(value as never) : reject(new Error(error)),
        );
        child.send({ id, op, args });
      });
    },
    kill: async () => {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

const served = new Map<
  string,
  { readonly services: GuestServices; readonly descriptors: readonly number[] }
>();

function serve(netns: string, plan: Plan | undefined): void {
  const all = plan?.nics.flatMap((nic) => nic.services) ?? [];
  if (all.length === 0) return;
  const descriptors = [...new Set(all.map(({ link }) => link))].map(() => openPacketSocket(netns));
  const options = { port: packetPort, descriptors, clock: { now: Date.now }, log: () => undefined };
  const services = guestServices(options);
  services.serve(all, () => undefined);
  served.set(netns, { services, descriptors });
}

function silence(netns: string): void {
  const one = served.get(netns);
  served.delete(netns);
  one?.services.close();
  one?.descriptors.forEach((fd) => {
    closeSync(fd);
  });
}

function withKernel<T>(netns: string, run: (kernel: ReturnType<typeof openKernel>) => T): T {
  const kernel = openKernel(netns);
  try {
    return run(kernel);
  } finally {
    kernel.close();
  }
}

function outcomeOf(result: ReturnType<typeof wirePod>): WireOutcome {
  if (!result.ok) return { problems: result.problems };
  return { plan: result.value.plan, steps: result.value.steps.map(({ op }) => op) };
}

function serveRequests(channel: Pick<ChildProcess, "send"> & NodeJS.Process): void {
  process.on("disconnect", () => process.exit());
  process.on("message", (message) => {
    const { id, op, args } = message as {
      readonly id: number;
      readonly op: keyof Jobs;
      readonly args: never;
    };
    let reply: Reply;
    try {
      reply = { id, value: jobs[op](args) };
    } catch (thrown) {
      reply = { id, error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
    }
    channel.send(reply);
  });
}

if (process.env["PODTAP_MATRIX_ENGINE"] !== undefined && process.send !== undefined) {
  serveRequests(process as Pick<ChildProcess, "send"> & NodeJS.Process);
}
