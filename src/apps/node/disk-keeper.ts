/** Images and disks for the pods, with this daemon's overrides and the cluster's Secrets. */
import type { ConfigMap, Secret, Vmi } from "../../api/types.ts";
import { type Cluster, CONFIG_MAPS, SECRETS } from "../../cluster/port.ts";
import { type PreparedDisks, prepareDisks } from "../../vm/disks/prepare-disks.ts";
import { ImageStore } from "../../vm/images/image-store.ts";
import type { Paths } from "../paths.ts";

export interface DiskKeeper {
  prepare(
    vmi: Vmi,
    folder: string,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<PreparedDisks>;
}

export interface DiskKeeperOptions {
  readonly cluster: Cluster;
  readonly paths: Paths;
  /** User and group that disks are made for; absent where everything is one user's. */
  readonly owner?: number;
  /** Image reference to what stands in for it. */
  overrides(): Readonly<Record<string, string>>;
}

export function diskKeeper({ cluster, paths, owner, overrides }: DiskKeeperOptions): DiskKeeper {
  const imageStore = new ImageStore({
    root: paths.images,
    overrides,
    layouts: paths.layouts,
    // Who may use the socket is as good as root on this machine.
    localReferences: true,
    ...(owner !== undefined && { gid: owner }),
  });
  return {
    prepare: (vmi, folder, progress, signal) => {
      const namespace = vmi.metadata.namespace ?? "";
      return prepareDisks({
        vmi,
        imageStore,
        stateDir: folder,
        ...(owner !== undefined && { ownerUid: owner }),
        progress,
        signal,
        lookups: {
          secret: (name) => cluster.get<Secret>({ resource: SECRETS, namespace, name }),
          configMap: (name) => cluster.get<ConfigMap>({ resource: CONFIG_MAPS, namespace, name }),
        },
      });
    },
  };
}
