/**
 * `podtap bench phase1`: phase 1 of N pods, each in a namespace of its own as CNI leaves it, through the same
 * worker that the node daemon uses. Measured from the request to the answer: observe, plan, store the plan,
 * journal, every change. Then, in the same run, the same changes by child processes.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NodeNet, startNodeNet } from "../src/apps/node/net.ts";
import type { WireRequest } from "../src/apps/node/net-worker.ts";
import type { Ip } from "../src/base/ip.ts";
import { registry } from "../src/bindings/index.ts";
import type { HostFeatures } from "../src/plan/host-features.ts";
import type { Step } from "../src/plan/step.ts";
import { runBatched, runSeparately } from "./baseline.ts";
import { KUBEVIRT } from "./kubevirt.ts";
import { sampleVmi } from "./sample-vmi.ts";
import { quantile, round } from "./statistics.ts";

export interface Phase1Options {
  readonly binding: string;
  readonly nics: number;
}

export interface Phase1Report {
  readonly name: "phase1";
  readonly binding: string;
  readonly nics: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly minMs: number;
  /** p50 of the last tenth over p50 of the first tenth: 1 is flat. */
  readonly lastOverFirst: number;
  readonly cpuMsPerNic: number;
  /** The first one after a start, warmed up as the daemon does it. */
  readonly firstMs: number;
  /** Did phase 1 start child processes? */
  readonly startsProcesses: boolean;
  /** This process, which does what the daemon does, after all of them. */
  readonly daemonRssMiB: number;
  /** Applied again: p50 of finding nothing to do. */
  readonly againP50Ms: number;
  /** In this run, one process a step. */
  readonly separateProcessesP50Ms: number;
  readonly separateProcesses: number;
  /** In this run, `nft -f`, `ip -batch` and `sysctl`. */
  readonly batchedProcessesP50Ms: number;
  readonly batchedProcesses: number;
  /** Not of this run; absent where there is no figure. */
  readonly kubevirtMs?: number | string;
  readonly kubevirtCpuMs?: number;
}

const WARM_UP = 20;
const BASELINES = 12;

export interface AllBindings {
  readonly name: "phase1 of all bindings";
  readonly of: readonly Phase1Report[];
}

/** @param options `all` as the binding: one after the other */
export async function runAny(options: Phase1Options): Promise<Phase1Report | AllBindings> {
  if (options.binding !== "all") return run(options);
  const of: Phase1Report[] = [];
  for (const { bindingName } of registry.all) of.push(await run({ ...options, binding: bindingName }));
  return { name: "phase1 of all bindings", of };
}

async function run({ binding, nics }: Phase1Options): Promise<Phase1Report> {
  const net = startNodeNet();
  const folder = mkdtempSync(join(tmpdir(), "podtap-bench-"));
  const names = Array.from({ length: WARM_UP + nics + 2 * BASELINES }, (_, i) => `ptb${process.pid}-${i}`);
  try {
    await net.call("warmUp", {});
    const features = await net.call("hostFeatures", {});
    for (const [i, name] of names.entries()) await makePod(net, name, i, join(folder, name));
    const request = (name: string): WireRequest => wireRequest(name, binding, join(folder, name), features);
    const warmUp: number[] = [];
    for (const name of names.slice(0, WARM_UP)) warmUp.push(await wire(net, request(name)));
    const measured = names.slice(WARM_UP, WARM_UP + nics);
    const children = reapedFaults();
    const cpuBefore = process.cpuUsage();
    const times: number[] = [];
    for (const name of measured) times.push(await wire(net, request(name)));
    const cpu = process.cpuUsage(cpuBefore);
    const startsProcesses = reapedFaults() > children;
    const rss = process.memoryUsage.rss();
    const again: number[] = [];
    for (const name of measured.slice(0, 50)) again.push(await wire(net, request(name)));
    const rest = names.slice(WARM_UP + nics);
    const baseline = async (use: typeof runBatched, some: readonly string[]) => {
      const runs = [];
      for (const name of some) runs.push(use(pathOf(name), await stepsFor(net, request(name))));
      return {
        ms: round(
          quantile(
            runs.map((one) => one.milliseconds),
            0.5,
          ),
        ),
        processes: runs[0]?.processes ?? 0,
      };
    };
    const separate = await baseline(runSeparately, rest.slice(0, BASELINES));
    const batched = await baseline(runBatched, rest.slice(BASELINES));
    const tenth = Math.max(1, Math.floor(times.length / 10));
    return {
      name: "phase1",
      binding,
      nics,
      p50Ms: round(quantile(times, 0.5)),
      p95Ms: round(quantile(times, 0.95)),
      minMs: round(Math.min(...times)),
      lastOverFirst: round(quantile(times.slice(-tenth), 0.5) / quantile(times.slice(0, tenth), 0.5)),
      cpuMsPerNic: round((cpu.user + cpu.system) / 1000 / nics),
      firstMs: round(warmUp[0] ?? Number.NaN),
      startsProcesses,
      daemonRssMiB: round(rss / 1024 / 1024, 1),
      againP50Ms: round(quantile(again, 0.5)),
      separateProcessesP50Ms: separate.ms,
      separateProcesses: separate.processes,
      batchedProcessesP50Ms: batched.ms,
      batchedProcesses: batched.processes,
      ...KUBEVIRT.phase1[binding],
    };
  } finally {
    for (const name of names) await net.deleteNetns(pathOf(name)).catch(() => undefined);
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function wire(net: NodeNet, request: WireRequest): Promise<number> {
  const begun = performance.now();
  const result = await net.call("wirePod", request);
  const elapsed = performance.now() - begun;
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join("; "));
  return elapsed;
}

async function stepsFor(net: NodeNet, request: WireRequest): Promise<readonly Step[]> {
  const result = await net.call("previewPod", request);
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join("; "));
  return result.value.steps;
}

function wireRequest(name: string, binding: string, stateDir: string, features: HostFeatures): WireRequest {
  return {
    netns: pathOf(name),
    stateDir,
    input: {
      vmi: sampleVmi(name, binding),
      resolver: { nameservers: ["10.96.0.10" as Ip], searchDomains: ["default.svc.cluster.local"] },
      host: { runtimeUid: 107, features, inbound: "declared" },
      queues: 0,
    },
  };
}

/** A namespace as CNI leaves it: eth0, a veth's end with an address of each family. And the pod's folder. */
async function makePod(net: NodeNet, name: string, i: number, stateDir: string): Promise<void> {
  mkdirSync(stateDir);
  await net.createNetns(pathOf(name));
  const batch = [
    "link add eth0 mtu 1450 type veth peer name outside",
    `address add 10.${128 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/24 dev eth0`,
    `address add fd00:77::${i.toString(16)}/64 dev eth0 nodad`,
    "link set outside up",
    "link set eth0 up",
  ];
  execFileSync("ip", ["-n", name, "-batch", "-"], { input: `${batch.join("\n")}\n` });
}

function pathOf(name: string): string {
  return `/run/netns/${name}`;
}

/** Page faults of children that ended: no process ends without one (proc_pid_stat(5), cminflt). */
function reapedFaults(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[8]);
}
