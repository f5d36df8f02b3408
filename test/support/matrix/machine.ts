/**
 * One VM of the matrix: a pod as the node makes it (CNI by the real plugins, phase 1 and responders in the engine's
 * process) and a namespace guest in it. Made and taken down as often as a check asks for.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { InterfaceSpec, Vmi } from "../../../src/api/types.ts";
import { observe } from "../../../src/apply/observe.ts";
import type { WireInput } from "../../../src/apply/wire-pod.ts";
import {
  type PodNetworkOptions,
  type PodNetworks,
  podNetworks,
} from "../../../src/apps/node/pod-networks.ts";
import { pathsFrom } from "../../../src/apps/paths.ts";
import { messageOf } from "../../../src/base/errors.ts";
import { familyOf, type Ip } from "../../../src/base/ip.ts";
import { PRIMARY_POD_INTERFACE } from "../../../src/base/names.ts";
import { type Cni, createCni } from "../../../src/cluster/local/cni/cni.ts";
import { DEFAULT_PLUGIN_DIRS } from "../../../src/cluster/local/cni/exec-plugin.ts";
import { hostFeatures } from "../../../src/linux/features.ts";
import { openKernel } from "../../../src/linux/kernel.ts";
import { inNetns } from "../../../src/linux/netns.ts";
import { writeSysctl } from "../../../src/linux/sysctl.ts";
import type { Binding } from "../../../src/plan/binding.ts";
import type { ObservedLink, ObservedRoute } from "../../../src/plan/observed.ts";
import type { NicPlan } from "../../../src/plan/plan.ts";
import { HOST, vmi } from "../builders.ts";
import { type NamespaceGuest, startNamespaceGuest } from "../namespace-guest.ts";
import { eventually, type TestPod, testPod } from "../netns.ts";
import type { Engine } from "./engine.ts";
import type { Family, Segment } from "./segments.ts";
import { joinable, type Medium, mediumOf } from "./user-network.ts";
import { NotHere, Unmet } from "./verdict.ts";

/** Where `ip netns` looks. */
export const NETNS_FOLDER = "/run/netns";

/** What the VM declares; `undeclared` ones are listened on all the same. */
export const PORTS = { tcp: 80, udp: 5353, undeclared: { tcp: 81, udp: 5354 } } as const;

export interface Bench {
  /** On the records that `networksOn` keeps. */
  readonly cni: Cni;
  /** State of pods, leases. */
  readonly folder: string;
  /** The one that runs. */
  engine(): Engine;
  /** The node's own way to attach a pod, with this segment for its pod network. */
  networksOn(segment: Segment): PodNetworks;
}

/** Undone in reverse order. */
export class Scope {
  readonly #undo: (() => unknown)[] = [];

  after(fn: () => unknown): void {
    this.#undo.push(fn);
  }

  /** All of it is undone; what fails first is thrown then. */
  async end(): Promise<void> {
    const failures: unknown[] = [];
    for (const fn of this.#undo.splice(0).toReversed()) {
      try {
        await fn();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

export interface Machine {
  readonly binding: Binding;
  readonly segment: Segment;
  readonly pod: TestPod;
  readonly stateDir: string;
  readonly input: WireInput;
  readonly nic: NicPlan;
  /** As CNI left it. */
  readonly pristine: object;
  /** The host's end of the pod NIC. */
  readonly hostLink: string;
  /** Of a guest without a tap. */
  readonly medium: Medium | undefined;
  readonly scope: Scope;
}

export interface Guest extends NamespaceGuest {
  readonly path: string;
  readonly scope: Scope;
}

export function openBench(folder: string, engine: () => Engine): Bench {
  const paths = { ...pathsFrom({ PODTAP_RUN_DIR: folder, PODTAP_STATE_DIR: folder }), netns: NETNS_FOLDER };
  const cluster = { get: async () => undefined, list: async () => [] };
  const networksOn = (segment: Segment): PodNetworks => {
    const host = {
      network: () => segment.network,
      leaseDir: join(folder, "leases"),
      use: <T>(run: () => Promise<T>): Promise<T> => run(),
      prepare: async () => ({ adapted: [], obstacles: [] }),
    };
    return podNetworks({ paths, config: {}, host, cluster } as unknown as PodNetworkOptions);
  };
  const cni = createCni({
    cacheDir: join(folder, "cni"),
    pluginDirs: DEFAULT_PLUGIN_DIRS,
    timeoutMs: 20_000,
  });
  return { cni, folder, engine, networksOn };
}

export async function createMachine(bench: Bench, binding: Binding, segment: Segment): Promise<Machine> {
  const scope = new Scope();
  const pod = testPod(scope as never, "mxpod");
  const set = (key: string, value: string): void =>
    inNetns(pod.path, () => writeSysctl(`net/ipv6/conf/default/${key}`, value));
  // The plugin waits for duplicate address detection.
  set("accept_dad", "0");
  const wanted = vmiOf(binding, segment);
  const networks = bench.networksOn(segment);
  const identity = { id: pod.name, uid: pod.name, namespace: "default", name: pod.name, hostname: "web" };
  await networks.attach(identity, wanted);
  await eventually("the pod NIC's link-local address", () => hasLinkLocal(pod.path) || undefined);
  const pristine = stateOf(pod.path);
  const stateDir = join(bench.folder, "state", pod.name);
  mkdirSync(stateDir, { recursive: true });
  const input: WireInput = {
    vmi: wanted,
    resolver: { nameservers: segment.families.map((family) => segment.router[family]), searchDomains: [] },
    host: { ...HOST, features: joinable(hostFeatures()) },
    queues: 0,
    attachments: networks.attachments(identity, wanted),
  };
  const outcome = await bench.engine().call("wire", { netns: pod.path, stateDir, input });
  if ("problems" in outcome) throw new Unmet(outcome.problems.map(({ message }) => message).join("; "));
  const [nic] = outcome.plan.nics;
  if (nic === undefined) throw new Error("no NIC in the plan");
  await bench.engine().call("serve", { netns: pod.path, stateDir });
  const result = bench.cni.resultOf(pod.name, PRIMARY_POD_INTERFACE);
  const hostLink =
    result?.interfaces.find(({ sandbox, name }) => !sandbox && name !== segment.bridge)?.name ?? "";
  const medium = mediumOf(scope, pod, nic, input.resolver.nameservers);
  return { binding, segment, pod, stateDir, input, nic, pristine, hostLink, medium, scope };
}

/** @param mtu of its NIC when it starts; default: as the domain says, which is what virtio tells a guest */
export async function startGuest({ pod, nic, medium, scope }: Machine, mtu = nic.domain.mtu): Promise<Guest> {
  if (nic.domain.type !== "ethernet" && medium === undefined)
    throw new NotHere("with QEMU only: test/vm/bindings.test.ts");
  const own = new Scope();
  const place = { podNetns: pod.name, tap: nic.guestLink, mac: nic.mac, mtu };
  const guest = await startNamespaceGuest({ ...place, ...(medium && { socket: medium.socket }) });
  own.after(() => guest.stop());
  scope.after(() => own.end());
  if (medium !== undefined) {
    await medium.join();
    // A real guest comes up behind a NIC that is joined; this one asked for routers before.
    for (const state of ["down", "up"]) await guest.read("ip", "link", "set", guest.nic, state);
  }
  return { ...guest, path: `/run/netns/${guest.netns}`, scope: own };
}

export async function stopGuest(guest: Guest): Promise<void> {
  await guest.scope.end();
}

/**
 * As the node takes it down.
 * @throws Unmet
 */
export async function destroyMachine(bench: Bench, machine: Machine): Promise<void> {
  const { pod, segment, stateDir, pristine, hostLink, scope } = machine;
  const wrong = new Map<string, string>();
  const step = async (what: string, run: () => unknown): Promise<void> => {
    try {
      const said = await run();
      if (said !== undefined && said !== "") wrong.set(what, String(said));
    } catch (thrown) {
      wrong.set(what, messageOf(thrown));
    }
  };
  await bench.engine().call("silence", { netns: pod.path });
  await step("undoing fails", async () =>
    (await bench.engine().call("unwire", { netns: pod.path, stateDir })).join("; "),
  );
  await step("the pod is not as CNI left it", () => difference(pristine, stateOf(pod.path)));
  await step("something is left in the state folder", () => readdirSync(stateDir).join(", "));
  // Without IPAM the bridge plugin fails its own CHECK: "no plugin name provided".
  if (segment.addressing === "ipam")
    await step("CNI CHECK fails", () => bench.cni.check(pod.name, PRIMARY_POD_INTERFACE));
  await step("CNI DEL fails", () => bench.networksOn(segment).detach(pod.name));
  await step("CNI DEL leaves the pod on record", () => bench.cni.list().find((id) => id === pod.name));
  await step("something is left in the pod", () =>
    linksIn(pod.path)
      .flatMap(({ name }) => (name === "lo" ? [] : name))
      .join(", "),
  );
  await step("a link is left on the host", () => (existsSync(`/sys/class/net/${hostLink}`) ? hostLink : ""));
  await scope.end();
  if (wrong.size > 0) throw new Unmet([...wrong.keys()].join("; "), [...wrong.values()].join("; "));
}

/** The address by which others know the guest. */
export function outsideIp({ nic, segment }: Machine, guest: Guest, family: Family): Ip {
  const known = segment.addressing === "dhcp" ? globalAddresses(guest) : nic.addresses.pod;
  const found = known.find((ip) => isOf(ip, family));
  if (found === undefined) throw new Unmet(`no ${NAMES[family]} address`);
  return found;
}

/** Without link-local ones. */
export function globalAddresses({ path }: Pick<Guest, "path">): readonly Ip[] {
  return addressesOf(path).filter((ip) => !ip.startsWith("fe80:") && !ip.startsWith("127.") && ip !== "::1");
}

export function addressesOf(netns: string): readonly Ip[] {
  return linksIn(netns).flatMap(({ addresses }) => addresses.map((cidr) => cidr.split("/")[0] as Ip));
}

export function linksIn(netns: string): readonly ObservedLink[] {
  return within(netns, (kernel) => kernel.readLinks());
}

export function routesIn(netns: string): readonly ObservedRoute[] {
  return within(netns, (kernel) => kernel.readRoutes());
}

/** Packets, over the counters of these names. */
export function counted({ pod, nic }: Machine, names: readonly string[]): number {
  return within(pod.path, (kernel) => {
    const all = nic.nft.map((table) => kernel.readNftCounters(table));
    return names
      .flatMap((name) => all.map((counters) => counters[name]?.packets ?? 0))
      .reduce((a, b) => a + b, 0);
  });
}

/** The kernel makes it a moment after the link is up. */
function hasLinkLocal(netns: string): boolean {
  return addressesOf(netns).some((ip) => ip.startsWith("fe80:"));
}

export const NAMES: Readonly<Record<Family, string>> = { v4: "IPv4", v6: "IPv6" };

export function isOf(ip: Ip, family: Family): boolean {
  return familyOf(ip) === (family === "v6" ? 6 : 4);
}

function vmiOf(binding: Binding, { bridge }: Segment): Vmi {
  const ports = [{ port: PORTS.tcp }, { port: PORTS.udp, protocol: "UDP" as const }];
  const nic: InterfaceSpec = { name: "default", ports, ...binding.spelling };
  const name = `${binding.bindingName}-${bridge}`.toLowerCase();
  return vmi({
    name,
    spec: { domain: { devices: { interfaces: [nic] } }, networks: [{ name: "default", pod: {} }] },
  });
}

/** What a teardown must restore; what routers advertise comes and goes with them. */
function stateOf(netns: string): object {
  return within(netns, (kernel) => {
    const sysctls = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/eth0/accept_ra"];
    const { links, routes, nft, sysctls: settings } = observe(kernel, { sysctls });
    const lasting = links.map(({ index: _, advertised = [], addresses, ...link }) => ({
      ...link,
      addresses: addresses.filter((address) => !advertised.includes(address)),
    }));
    return { links: lasting, routes: routes.filter((route) => !route.advertised), nft, settings };
  });
}

function difference(before: object, after: object): string {
  const keys = Object.keys(before) as (keyof typeof before)[];
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return changed
    .map((key) => `${key} ${JSON.stringify(before[key])} became ${JSON.stringify(after[key])}`)
    .join("; ");
}

function within<T>(netns: string, run: (kernel: ReturnType<typeof openKernel>) => T): T {
  const kernel = openKernel(netns);
  try {
    return run(kernel);
  } finally {
    kernel.close();
  }
}
