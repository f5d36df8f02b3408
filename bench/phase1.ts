/**
 * `podtap bench phase1`: phase 1 of N pods, each in a namespace of its own as CNI leaves it, through the same
 * worker that the node daemon uses. Measured from the request to the answer: observe, plan, store the plan,
 * journal, every change.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vmi } from "../src/api/types.ts";
import { type NodeNet, startNodeNet } from "../src/apps/node/net.ts";
import type { Ip } from "../src/base/ip.ts";
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
  /** p50 of the last tenth over p50 of the first tenth: 1 is flat. */
  readonly lastOverFirst: number;
  readonly cpuMsPerNic: number;
  /** Child processes that phase 1 started. */
  readonly childProcesses: 0;
  readonly daemonRssMiB: number;
  /** Applied again: p50 of finding nothing to do. */
  readonly againP50Ms: number;
}

const WARM_UP = 20;

export async function run({ binding, nics }: Phase1Options): Promise<Phase1Report> {
  const net = startNodeNet();
  const folder = mkdtempSync(join(tmpdir(), "podtap-bench-"));
  const names = Array.from({ length: nics + WARM_UP }, (_, i) => `ptb${process.pid}-${i}`);
  try {
    for (const [i, name] of names.entries()) await makePod(net, name, i);
    for (const name of names.slice(0, WARM_UP)) await wire(net, name, binding, folder);
    const measured = names.slice(WARM_UP);
    const cpuBefore = process.cpuUsage();
    const times: number[] = [];
    for (const name of measured) times.push(await wire(net, name, binding, folder));
    const cpu = process.cpuUsage(cpuBefore);
    const again: number[] = [];
    for (const name of measured.slice(0, 50)) again.push(await wire(net, name, binding, folder));
    const tenth = Math.max(1, Math.floor(times.length / 10));
    return {
      name: "phase1",
      binding,
      nics,
      p50Ms: round(quantile(times, 0.5)),
      p95Ms: round(quantile(times, 0.95)),
      lastOverFirst: round(quantile(times.slice(-tenth), 0.5) / quantile(times.slice(0, tenth), 0.5)),
      cpuMsPerNic: round((cpu.user + cpu.system) / 1000 / nics),
      childProcesses: 0,
      daemonRssMiB: round(process.memoryUsage.rss() / 1024 / 1024),
      againP50Ms: round(quantile(again, 0.5)),
    };
  } finally {
    for (const name of names) await net.deleteNetns(pathOf(name)).catch(() => undefined);
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function wire(net: NodeNet, name: string, binding: string, folder: string): Promise<number> {
  const begun = performance.now();
  const result = await net.call("wirePod", {
    netns: pathOf(name),
    stateDir: join(folder, name),
    input: {
      vmi: sampleVmi(name, binding),
      resolver: { nameservers: ["10.96.0.10" as Ip], searchDomains: ["default.svc.cluster.local"] },
      host: { runtimeUid: 107, vhostNet: false, inbound: "declared" },
      queues: 0,
    },
  });
  const elapsed = performance.now() - begun;
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join("; "));
  return elapsed;
}

/** A namespace as CNI leaves it: eth0, a veth's end with an address of each family. */
async function makePod(net: NodeNet, name: string, i: number): Promise<void> {
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

function sampleVmi(name: string, binding: string): Vmi {
  const ports = [22, 80, 443].map((port) => ({ port }));
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name, namespace: "bench", uid: name },
    spec: {
      domain: {
        devices: { interfaces: [{ name: "default", [binding]: {}, ports }] },
        memory: { guest: "256Mi" },
      },
      networks: [{ name: "default", pod: {} }],
    },
  };
}
