/** The networks of this node's pods: NADs from the cluster, plugins from the host, what is attached on record. */
import { join } from "node:path";
import type { Nad, Vmi } from "../../api/types.ts";
import { PRIMARY_POD_INTERFACE, secondaryPodInterface } from "../../base/names.ts";
import { type AttachedNetwork, attachNetworks } from "../../cluster/local/cni/attach-networks.ts";
import { createCni } from "../../cluster/local/cni/cni.ts";
import { DEFAULT_PLUGIN_DIRS, DEFAULT_TIMEOUT_MS } from "../../cluster/local/cni/exec-plugin.ts";
import type { FirewallState } from "../../cluster/local/cni/host-firewall.ts";
import { networkAttachment } from "../../cluster/local/cni/network-attachment.ts";
import { type NetworkSources, requestedNetworks } from "../../cluster/local/cni/requested-networks.ts";
import type { PodIdentity } from "../../cluster/local/pods/machine.ts";
import { networkAnnotations } from "../../cluster/multus/pod-networks.ts";
import { type Cluster, NADS } from "../../cluster/port.ts";
import type { NetworkAttachment } from "../../plan/binding.ts";
import { isPrimary } from "../../plan/planner.ts";
import type { Paths } from "../paths.ts";
import type { NodeConfig } from "./config.ts";
import type { HostNetwork } from "./host-network.ts";
import { podFolders } from "./sandbox-files.ts";

export interface PodNetworks {
  attach(pod: PodIdentity, vmi: Vmi): Promise<readonly AttachedNetwork[]>;
  /** By network name, as they were attached; empty before. */
  attachments(pod: Pick<PodIdentity, "id">, vmi: Vmi): Readonly<Record<string, NetworkAttachment>>;
  /** The last attached first. */
  detach(podId: string): Promise<void>;
  /** Pods that are attached, or half attached. */
  list(): readonly string[];
}

export interface PodNetworkOptions {
  readonly paths: Paths;
  readonly config: NodeConfig;
  readonly host: HostNetwork;
  readonly cluster: Pick<Cluster, "get" | "list">;
}

/** Where a host's runtimes look for network configurations. */
const DEFAULT_CONF_DIR = "/etc/cni/net.d";

export function podNetworks({ paths, config, host, cluster }: PodNetworkOptions): PodNetworks {
  const cni = createCni({
    cacheDir: join(paths.run, "cni"),
    pluginDirs: pluginDirs(),
    timeoutMs: DEFAULT_TIMEOUT_MS,
  });
  const sources: NetworkSources = {
    nad: (namespace, name) => cluster.get<Nad>({ resource: NADS, namespace, name }),
    allNads: () => cluster.list<Nad>(NADS),
    podNetwork: () => host.network(),
    confDir: config.cniConfDir ?? DEFAULT_CONF_DIR,
    leaseDir: join(host.leaseDir, "nad"),
  };
  return {
    attach: async (pod, vmi) => {
      const annotations = { ...vmi.metadata.annotations, ...networkAnnotations(vmi) };
      return await host.use(async () => {
        const firewall = await host.prepare();
        const requested = await requestedNetworks(annotations, pod.namespace, sources);
        const { namespace, name } = pod;
        const place = { containerId: pod.id, netnsPath: podFolders(paths, pod.id).netns };
        const attached = await attachNetworks(cni, { ...place, pod: { namespace, name } }, requested);
        return attached.map((one) =>
          one.status.default ? { ...one, notes: [...one.notes, ...firewallNotes(firewall)] } : one,
        );
      });
    },
    attachments: (pod, vmi) =>
      Object.fromEntries(
        (vmi.spec.networks ?? []).flatMap((network) => {
          const ifName = isPrimary(network) ? PRIMARY_POD_INTERFACE : secondaryPodInterface(network.name);
          const attached = cni.networkOf(pod.id, ifName);
          return attached === undefined ? [] : [[network.name, networkAttachment(attached)] as const];
        }),
      ),
    detach: (podId) => cni.deleteAll(podId),
    list: () => cni.list(),
  };
}

function firewallNotes({ adapted, obstacles }: FirewallState): readonly string[] {
  return [
    ...adapted.map((line) => `the host's firewall drops what is forwarded; allowed for pods by: ${line}`),
    ...obstacles.map(({ message, hint }) => `${message}; allow it by: ${hint}`),
  ];
}

function pluginDirs(): readonly string[] {
  const path = process.env["CNI_PATH"];
  return path === undefined || path === "" ? DEFAULT_PLUGIN_DIRS : path.split(":");
}
