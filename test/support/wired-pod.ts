/**
 * A pod wired by any binding with a namespace guest in it, a neighbour pod, and the host between them:
 *
 *   guest ─ tap0 ═ the binding ═ pod eth0 ─┐
 *                                          br0 (host) 10.99.0.1, fd99::1
 *                        neighbour eth0 ───┘
 *
 * Phase 1 by the real engine, addresses by DHCP and router advertisements of the real responders.
 */
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vmi } from "../../src/api/types.ts";
import {
  gatewaysToWaitFor,
  type PodFiles,
  podFiles,
  type WireInput,
  wirePod,
} from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import { registry } from "../../src/bindings/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import type { HostFeatures } from "../../src/plan/host-features.ts";
import type { NicPlan, Plan } from "../../src/plan/plan.ts";
import { type GuestServices, guestServices } from "../../src/vm/guest-services.ts";
import type { GuestLease } from "../../src/vm/launch-spec.ts";
import { HOST } from "./builders.ts";
import { type NamespaceGuest, startNamespaceGuest } from "./namespace-guest.ts";
import { eventually, type TestPod, testPod } from "./netns.ts";
import { startUserNetwork, type UserNetwork } from "./user-network.ts";

export type Scope = { after(fn: () => unknown): void };
export type Stack = "v4" | "v6" | "dual" | "none";

export const POD = { v4: "10.99.0.2", v6: "fd99::2" } as const;
export const OTHER = { v4: "10.99.0.3", v6: "fd99::3" } as const;
export const HOST_IP = { v4: "10.99.0.1", v6: "fd99::1" } as const;

/** As long as the node does; there are gateways that never answer. */
const GATEWAYS_MS = 2500;

export interface PodOptions {
  /** Default 1500. */
  readonly mtu?: number;
  /** What CNI gives the pod; host and neighbour have both. */
  readonly stack?: Stack;
  /** Called when the pod is as CNI leaves it, before it is wired. */
  readonly prepare?: (place: Segment) => void;
  readonly features?: Partial<HostFeatures>;
  readonly queues?: number;
}

export interface Segment {
  readonly host: TestPod;
  readonly pod: TestPod;
  readonly neighbour: TestPod;
}

export interface WiredPod extends Segment {
  readonly guest: NamespaceGuest;
  readonly kernel: OpenKernel;
  readonly plan: Plan;
  readonly nic: NicPlan;
  readonly input: WireInput;
  readonly files: PodFiles;
  /** What the responders were told by the guest. */
  readonly leases: readonly GuestLease[];
  readonly services: GuestServices;
  /** Of a NIC that has one. */
  readonly userNetwork?: UserNetwork;
  /** Packets of a named counter, over all tables of the NIC. */
  counter(name: string): number;
}

/** The guest is on and has no address yet. */
export async function wiredPod(t: Scope, vmi: Vmi, options: PodOptions = {}): Promise<WiredPod> {
  const { mtu = 1500 } = options;
  const segment = threeNamespaces(t, mtu, options.stack ?? "dual");
  options.prepare?.(segment);
  const { pod } = segment;
  const state = mkdtempSync(join(tmpdir(), "podtap-wired-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const kernel = openKernel(pod.path);
  t.after(() => kernel.close());
  const input: WireInput = {
    vmi,
    resolver: { nameservers: [HOST_IP.v4 as Ip, HOST_IP.v6 as Ip], searchDomains: ["test.example"] },
    host: { ...HOST, features: { ...hostFeatures(), ...options.features } },
    queues: options.queues ?? 0,
  };
  const files = podFiles(state);
  // As the node does: an emulated machine takes its time to answer the first question.
  await eventually(
    "the gateways answer",
    () => gatewaysToWaitFor(kernel, input, files, registry) === 0,
    GATEWAYS_MS,
  ).catch(() => undefined);
  const wired = wirePod(kernel, input, files, registry);
  if (!wired.ok) throw new Error(wired.problems.map(({ message }) => message).join("; "));
  const { plan } = wired.value;
  const [nic] = plan.nics;
  if (nic === undefined) throw new Error("no NIC in the plan");
  const leases: GuestLease[] = [];
  const services = serve(t, pod, plan, (lease) => leases.push(lease));
  const queues = input.queues > 1 ? { queues: input.queues } : {};
  const userNetwork = nic.userNetwork && startUserNetwork(t, pod.path, nic);
  const place = { podNetns: pod.name, tap: nic.guestLink, mac: nic.mac, mtu };
  const socket = userNetwork && { socket: userNetwork.socket };
  const guest = await startNamespaceGuest({ ...place, ...queues, ...socket });
  t.after(() => guest.stop());
  await userNetwork?.up();
  const counter = (name: string): number =>
    nic.nft.reduce((sum, table) => sum + (kernel.readNftCounters(table)[name]?.packets ?? 0), 0);
  const program = userNetwork && { userNetwork };
  return { ...segment, guest, kernel, plan, nic, input, files, leases, services, counter, ...program };
}

export function addressesOf(stack: Stack, last: number): readonly string[] {
  const families = stack === "dual" ? ["v4", "v6"] : [stack];
  return families.flatMap((family) => {
    if (family === "v4") return [`10.99.0.${last}/24`];
    return family === "v6" ? [`fd99::${last}/64`] : [];
  });
}

function threeNamespaces(t: Scope, mtu: number, stack: Stack): Segment {
  const host = testPod(t as Parameters<typeof testPod>[0], "host");
  const size = ["mtu", String(mtu)] as const;
  // A router that has been there for long: its link-local address is its MAC's, and proven.
  host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  // IPv6 leaves a link with a smaller MTU for good (RFC 8200, 5), so it is given at birth.
  const own = ["address", "0a:58:0a:63:00:01", ...size];
  host.run("ip", "link", "add", "br0", ...own, "type", "bridge", "mcast_snooping", "0");
  for (const ip of addressesOf("dual", 1)) host.run("ip", "address", "add", ip, "dev", "br0", ...nodad(ip));
  host.run("ip", "link", "set", "br0", "up");
  const join = (label: string, index: number, mine: Stack): TestPod => {
    const one = testPod(t as Parameters<typeof testPod>[0], label);
    const peer = ["peer", "name", "eth0", ...size, "netns", one.name];
    host.run("ip", "link", "add", `v${index}`, ...size, "type", "veth", ...peer);
    host.run("ip", "link", "set", `v${index}`, "master", "br0", "up");
    const addresses = addressesOf(mine, index + 2);
    for (const ip of addresses) one.run("ip", "address", "add", ip, "dev", "eth0", ...nodad(ip));
    one.run("ip", "link", "set", "eth0", "up");
    for (const ip of addresses) {
      const family = ip.includes(":") ? "v6" : "v4";
      one.run("ip", family === "v6" ? "-6" : "-4", "route", "add", "default", "via", HOST_IP[family]);
    }
    return one;
  };
  return { host, pod: join("pod", 0, stack), neighbour: join("near", 1, "dual") };
}

function serve(t: Scope, pod: TestPod, plan: Plan, leased: (lease: GuestLease) => void): GuestServices {
  const all = plan.nics.flatMap((nic) => nic.services);
  const descriptors = [...new Set(all.map(({ link }) => link))].map(() => openPacketSocket(pod.path));
  const clock = { now: Date.now };
  const server = guestServices({ port: packetPort, descriptors, clock, log: () => undefined });
  t.after(() => {
    server.close();
    descriptors.forEach(closeSync);
  });
  server.serve(all, leased);
  return server;
}

function nodad(ip: string): readonly string[] {
  return ip.includes(":") ? ["nodad"] : [];
}
