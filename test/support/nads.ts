/** NADs as values, and a host's part of attaching pods to them. */
import type { Nad } from "../../src/api/types.ts";
import type { Cidr } from "../../src/base/ip.ts";
import { defaultNetwork } from "../../src/cluster/local/cni/default-network.ts";
import type { NetworkSources } from "../../src/cluster/local/cni/requested-networks.ts";

export function nad(name: string, config: object | string, more: Partial<Nad["metadata"]> = {}): Nad {
  return {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name, namespace: "default", ...more },
    spec: {
      config: typeof config === "string" ? config : JSON.stringify({ cniVersion: "0.3.1", ...config }),
    },
  };
}

/** @param folder for leases and configuration files */
export function networkSources(folder: string, nads: readonly Nad[]): NetworkSources {
  return {
    nad: async (namespace, name) =>
      nads.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    allNads: async () => nads,
    podNetwork: () =>
      defaultNetwork({
        ranges: { v4: "10.88.0.0/20" as Cidr },
        mtu: 1500,
        hairpin: false,
        leaseDir: `${folder}/leases`,
      }),
    confDir: `${folder}/net.d`,
    leaseDir: `${folder}/leases/nad`,
  };
}
