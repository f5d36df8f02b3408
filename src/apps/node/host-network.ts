/**
 * The host's side of the pod network: ranges that clash with nothing, the CNI network, forwarding, Service routes.
 * Nothing of the host is changed before the first pod, and all of it is put back after the last.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { type Cidr, cidrIp } from "../../base/ip.ts";
import type { CniNetwork } from "../../cluster/local/cni/conflist.ts";
import {
  defaultNetwork,
  defaultRoutes,
  POD_BRIDGE,
  uplinkMtu,
} from "../../cluster/local/cni/default-network.ts";
import { needsHairpin, setHairpin } from "../../cluster/local/cni/hairpin.ts";
import {
  type FirewallState,
  letPodsThrough,
  type Obstacle,
  unreadable,
  withdraw,
} from "../../cluster/local/cni/host-firewall.ts";
import { enableForwarding, restoreForwarding } from "../../cluster/local/cni/host-forwarding.ts";
import { loadConflist } from "../../cluster/local/cni/load-conflist.ts";
import type { NetworkRanges } from "../../cluster/local/cni/pod-ranges.ts";
import { settleRanges } from "../../cluster/local/cni/ranges-file.ts";
import { hostResolver } from "../../cluster/local/pods/resolver.ts";
import { HOST_TABLES, type HostPorts } from "../../cluster/local/services/host-tables.ts";
import { addServiceRoutes, missingRoutes } from "../../cluster/local/services/service-routes.ts";
import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";
import type { Resolver } from "../../plan/binding.ts";
import type { Observed } from "../../plan/observed.ts";
import type { Paths } from "../paths.ts";
import type { NodeConfig } from "./config.ts";
import { firewallPort } from "./firewall-port.ts";
import type { NodeNet } from "./net.ts";

/** The daemon's own namespace, seen from its network worker. */
export const HOST_NETNS = "/proc/self/ns/net";
const SYSTEMD_RESOLVED = "/run/systemd/resolve/resolv.conf";

export interface HostNetwork {
  readonly ranges: NetworkRanges;
  /** As it is to be asked for now: with br_netfilter its bridge ports reflect. */
  network(): CniNetwork;
  readonly resolver: Resolver;
  /** Of host-local; gone after the last pod. */
  readonly leaseDir: string;
  /** Link name of podtap's own bridge; absent with the user's CNI configuration. */
  readonly bridge: string | undefined;
  readonly podRanges: readonly Cidr[];
  readonly serviceRanges: readonly Cidr[];
  /** What guests may ask of the host itself: its resolver, where that is one of its own addresses. */
  readonly hostPorts: readonly HostPorts[];
  /** Runs what needs the host as pods find it: never while it is being put back, which would take things away. */
  use<T>(run: () => Promise<T>): Promise<T>;
  /**
   * Before a CNI ADD, within `use`: forwarding, the bridge, the route to Services, the host's firewalls. Idempotent.
   * What was done to a firewall, and what it drops all the same, is told.
   */
  prepare(): Promise<FirewallState>;
  /** The firewalls alone: they are reloaded by their owners at any time, and forget our rules then. */
  settleFirewall(): Promise<FirewallState>;
  /** What it could not get past the last time. */
  readonly obstacles: readonly Obstacle[];
  /** Bridge ports reflect exactly while br_netfilter needs it; it may come at any time, with Docker for one. */
  settleHairpin(): void;
  /** Everything back as it was; for when no pod is left. Does nothing when there is nothing, or while in use. */
  release(): Promise<void>;
}

export async function openHostNetwork(
  net: NodeNet,
  paths: Paths,
  config: NodeConfig,
  podsRunning: boolean,
): Promise<HostNetwork> {
  const host = await net.observe(HOST_NETNS, []);
  const resolver = hostResolver(readText("/etc/resolv.conf") ?? "", readText(SYSTEMD_RESOLVED));
  const { ranges } = settleRanges(join(paths.state, "ranges.json"), podsRunning, {
    machineId: readText("/etc/machine-id")?.trim() ?? "podtap",
    links: host.links,
    routes: host.routes,
    neededAddresses: resolver.nameservers,
    ipv6: readSysctl("net/ipv6/conf/all/disable_ipv6") === "0",
    bridge: POD_BRIDGE,
  });
  const own = config.cniConfDir === undefined;
  const mtu = uplinkMtu(host.links, host.routes);
  const users = own ? undefined : userNetwork(config.cniConfDir ?? "");
  const note = join(paths.run, "forwarding.json");
  const firewall = firewallPort(net, join(paths.run, "firewalld-zone"));
  const serviceRanges = both(ranges.services);
  const links = (): Promise<Observed> => net.observe(HOST_NETNS, []);
  const shared = sharedHost(join(paths.run, "host-in-use"), async () => {
    // First what may be refused: with a pod of somebody else on the bridge, all stays as it is.
    if (own) await removeBridge(net);
    await net.call("deleteHostTables", { tables: HOST_TABLES });
    restoreForwarding(sysctls, note);
    rmSync(leasesOf(paths), { recursive: true, force: true });
    // Whatever the configuration says: it may have been another one when the rules were made.
    await withdraw(firewall, POD_BRIDGE);
  });
  let obstacles: readonly Obstacle[] = [];
  const settleFirewall = async (): Promise<FirewallState> => {
    if (!own) return { adapted: [], obstacles };
    const uplink = defaultRoutes(host.routes)[0]?.link ?? "lo";
    const wish = { bridge: POD_BRIDGE, uplink, adapt: config.firewall === "adapt" };
    const state = await letPodsThrough(firewall, wish).catch(unreadable);
    obstacles = state.obstacles;
    return state;
  };
  return {
    ...shared,
    ranges,
    settleFirewall,
    get obstacles() {
      return obstacles;
    },
    network: () => users ?? ownNetwork(ranges, mtu, paths),
    resolver,
    leaseDir: leasesOf(paths),
    bridge: own ? POD_BRIDGE : undefined,
    podRanges: own ? both(ranges.pods) : [],
    serviceRanges,
    hostPorts: resolverPorts(resolver, host),
    prepare: async () => {
      const { links: present } = await links();
      enableForwarding(
        sysctls,
        present.map(({ name }) => name).filter((name) => name !== "lo"),
        note,
      );
      if (!own) return { adapted: [], obstacles };
      const bridge = { name: POD_BRIDGE, ranges: ranges.pods, mtu };
      await net.call("makePodBridge", { netns: HOST_NETNS, bridge });
      const missing = missingRoutes(serviceRanges, POD_BRIDGE, (await links()).routes);
      if (missing.length > 0) await addServiceRoutes(missing, POD_BRIDGE);
      return await settleFirewall();
    },
    settleHairpin: () => {
      if (own) setHairpin(POD_BRIDGE, needsHairpin(readSysctl));
    },
  };
}

/**
 * Many users or one release, never both.
 * @param mark a file that is there from before the first use until after the release, for a daemon that comes later
 */
function sharedHost(mark: string, putBack: () => Promise<void>): Pick<HostNetwork, "use" | "release"> {
  let users = 0;
  let touched = existsSync(mark);
  let releasing: Promise<void> | undefined;
  return {
    use: async (run) => {
      users += 1;
      try {
        await releasing?.catch(() => undefined);
        if (!touched) writeFileSync(mark, "");
        touched = true;
        return await run();
      } finally {
        users -= 1;
      }
    },
    release: async () => {
      if (users > 0 || !touched) return;
      releasing ??= putBack()
        .then(() => {
          rmSync(mark, { force: true });
          touched = false;
        })
        .finally(() => {
          releasing = undefined;
        });
      await releasing;
    },
  };
}

const sysctls = { readSysctl, writeSysctl };

function ownNetwork(ranges: NetworkRanges, mtu: number, paths: Paths): CniNetwork {
  return defaultNetwork({
    ranges: ranges.pods,
    mtu,
    hairpin: needsHairpin(readSysctl),
    leaseDir: leasesOf(paths),
  });
}

function resolverPorts(resolver: Resolver, host: Observed): readonly HostPorts[] {
  const own = new Set(host.links.flatMap((link) => link.addresses.map(cidrIp)));
  if (!resolver.nameservers.some((ip) => own.has(ip))) return [];
  return (["TCP", "UDP"] as const).map((protocol) => ({ protocol, port: 53 }));
}

function leasesOf(paths: Paths): string {
  return join(paths.run, "leases");
}

function userNetwork(folder: string): CniNetwork {
  const network = loadConflist(folder);
  if (network !== undefined) return network;
  throw new PodtapError({
    code: "PT-CONFIG-2",
    message: `${folder} holds no CNI network configuration (*.conflist, *.conf, *.json)`,
    hint: "put one there, or leave cniConfDir out to use podtap's own network",
  });
}

async function removeBridge(net: NodeNet): Promise<void> {
  const { links } = await net.observe(HOST_NETNS, []);
  const bridge = links.find(({ name }) => name === POD_BRIDGE);
  if (bridge === undefined || bridge.type !== "bridge") return;
  const port = links.find(({ master }) => master === POD_BRIDGE);
  if (port !== undefined) {
    throw new PodtapError({
      code: "PT-NODE-3",
      message: `${POD_BRIDGE} still has a port, ${port.name}`,
      hint: `a pod that podtap does not know? \`ip link show master ${POD_BRIDGE}\` lists them`,
    });
  }
  await net.call("deletePodBridge", { netns: HOST_NETNS, name: POD_BRIDGE });
}

function both({ v4, v6 }: { readonly v4: Cidr; readonly v6?: Cidr }): readonly Cidr[] {
  return v6 === undefined ? [v4] : [v4, v6];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new PodtapError({ code: "PT-NODE-4", message: `${path}: ${messageOf(thrown)}`, cause: thrown });
  }
}
