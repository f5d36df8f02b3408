/**
 * The segment that all scenarios share, in namespaces of the benchmark's own:
 *
 *   station "peer" (answers) ── veth ── br0 in "host" ── … the wiring under test … ── guest (asks)
 *
 * All guests are there at once, so that rounds can go from one to the other without a pause in between.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { connect, type TestPod, testPod } from "../../test/support/netns.ts";
import { repository } from "../../test/support/repository.ts";

export const PORT = 7777;
export const PREFIX = 24;
export const PEER_IP = "10.98.0.2";
export const HOST_IP = "10.98.0.1";

export interface Lab {
  readonly host: TestPod;
  readonly mtu: number;
  /** Processes that take part in measurements, as the host sees them. */
  readonly guests: Set<number>;
  readonly stations: Set<number>;
  /** Ends everything, last first. */
  readonly after: (close: () => unknown) => void;
  /** A namespace whose `eth0` is on br0, as a bridge CNI leaves a pod. */
  pod(label: string, ip: string): TestPod;
  close(): Promise<void>;
}

export function openLab(mtu = 1500): Lab {
  const closers: (() => unknown)[] = [];
  const after = (close: () => unknown): void => void closers.push(close);
  const host = testPod({ after }, "bench-host");
  ip(host, "link", "add", "br0", "mtu", String(mtu), "type", "bridge", "mcast_snooping", "0");
  ip(host, "address", "add", `${HOST_IP}/${PREFIX}`, "dev", "br0");
  ip(host, "link", "set", "br0", "up");
  let ports = 0;
  const pod = (label: string, address: string): TestPod => {
    const one = testPod({ after }, `bench-${label}`);
    ports += 1;
    const port = `v${ports}`;
    connect({ pod: one, link: "eth0", addresses: [`${address}/${PREFIX}`], peer: host, peerLink: port, mtu });
    ip(host, "link", "set", port, "master", "br0");
    ip(one, "route", "add", "default", "via", HOST_IP);
    return one;
  };
  const peer = pod("peer", PEER_IP);
  const server = spawn("ip", ["netns", "exec", peer.name, pingpong(), "serve", String(PORT)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  after(() => ended(server));
  const stations = new Set(server.pid === undefined ? [] : [server.pid]);
  const close = async (): Promise<void> => {
    for (const one of closers.toReversed()) await one();
  };
  return { host, mtu, guests: new Set(), stations, after, pod, close };
}

export function ip(where: TestPod, ...args: readonly string[]): void {
  execFileSync("ip", ["-n", where.name, ...args]);
}

/** The compiled program, static, so that it runs in a guest too; built once per version of its source. */
export function pingpong(): string {
  const source = join(repository(), "bench/datapath/pingpong.c");
  const version = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const program = join(repository(), ".cache", `pingpong-${version}`);
  if (existsSync(program)) return program;
  mkdirSync(dirname(program), { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync("gcc", ["-O2", "-Wall", "-static", "-pthread", "-o", unfinished, source], {
    stdio: "inherit",
  });
  renameSync(unfinished, program);
  return program;
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
