/** The networks of this node's pods: NADs from the cluster, plugins from the host, what is attached on record. */
import { join } from "node:path";
import type { Nad, NetworkSpec, Vmi } from "../../api/types.ts";
import type { Mac } from "../../base/mac.ts";
import { PRIMARY_POD_INTERFACE, secondaryPodInterface } from "../../base/names.ts";
import { registry } from "../../bindings/index.ts";
import { type AttachedNetwork, attachNetworks } from "../../cluster/local/cni/attach-networks.ts";
import { createCni } from "../../cluster/local/cni/cni.ts";
import { namesMac } from "../../cluster/local/cni/conflist.ts";
import { DEFAULT_PLUGIN_DIRS, DEFAULT_TIMEOUT_MS } from "../../cluster/local/cni/exec-plugin.ts";
import type { FirewallState } from "../../cluster/local/cni/host-firewall.ts";
import { networkAttachment } from "../../cluster/local/cni/network-attachment.ts";
import { type NetworkSources, requestedNetworks } from "../../cluster/local/cni/requested-networks.ts";
import type { PodIdentity } from "../../cluster/local/pods/machine.ts";
import { networkAnnotations } from "../../cluster/multus/pod-networks.ts";
import { type Cluster, NADS } from "../../cluster/port.ts";
import type { NetworkAttachment } from "../../plan/binding.ts";
import { macForCni } from "../../plan/parts/guest-mac.ts";
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
        const wished = requested.map((one) =>
          namesMac(one.network) ? one : { ...macWish(vmi, one.ifName), ...one },
        );
        const attached = await attachNetworks(cni, { ...place, pod: { namespace, name } }, wished);
        return attached.map((one) =>
          one.status.default ? { ...one, notes: [...one.notes, ...firewallNotes(firewall)] } : one,
        );
      });
    },
    attachments: (pod, vmi) =>
      Object.fromEntries(
        (vmi.spec.networks ?? []).flatMap((network) => {
          const attached = cni.networkOf(pod.id, podInterfaceOf(network));
          return attached === undefined ? [] : [[network.name, networkAttachment(attached)] as const];
        }),
      ),
    detach: (podId) => cni.deleteAll(podId),
    list: () => cni.list(),
  };
}

/** A guest that takes its pod's MAC is to have the same one at every start. */
function macWish({ metadata, spec }: Vmi, ifName: string): { readonly mac?: Mac } {
  const network = spec.networks?.find((one) => podInterfaceOf(one) === ifName);
  const nic = spec.domain.devices.interfaces?.find((one) => one.name === network?.name);
  const binding = nic && registry.of(nic);
  if (nic === undefined || binding === undefined) return {};
  const mac = macForCni({ namespace: metadata.namespace ?? "default", name: metadata.name }, nic, binding);
  return mac === undefined ? {} : { mac };
}

function podInterfaceOf(network: NetworkSpec): string {
  return isPrimary(network) ? PRIMARY_POD_INTERFACE : secondaryPodInterface(network.name);
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
