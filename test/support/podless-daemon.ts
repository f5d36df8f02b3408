/**
 * The daemon without its node part, for tests of what speaks to it: the real store, REST API and controllers on a
 * socket of their own, and a stand-in that moves pods and VMIs on, as a test's script says. Needs no root.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pod, Vmi } from "../../src/api/types.ts";
import { runController } from "../../src/cluster/controllers/controller.ts";
import { vmController } from "../../src/cluster/controllers/vm-controller.ts";
import { vmiController } from "../../src/cluster/controllers/vmi-controller.ts";
import { serveApi } from "../../src/cluster/local/api-server.ts";
import type { ApiRoute } from "../../src/cluster/local/exchange.ts";
import { LocalCluster } from "../../src/cluster/local/local-cluster.ts";
import type { Admission } from "../../src/cluster/local/objects.ts";
import { Store } from "../../src/cluster/local/store.ts";
import { PODS, VMIS } from "../../src/cluster/port.ts";

export interface Life {
  /** What happens to a VM whose pod was made; nothing by default, so it stays scheduled. */
  start?(vmi: Vmi, daemon: PodlessDaemon): Promise<void>;
}

export interface PodlessDaemon {
  readonly cluster: LocalCluster;
  /** For PODTAP_RUN_DIR and PODTAP_STATE_DIR. */
  readonly folder: string;
  setVmi(vmi: Vmi, status: Partial<NonNullable<Vmi["status"]>>): Promise<void>;
  close(): Promise<void>;
}

export async function startPodlessDaemon(
  life: Life = {},
  routes: readonly ApiRoute[] = [],
  admission: readonly Admission[] = [],
): Promise<PodlessDaemon> {
  const folder = mkdtempSync(join(tmpdir(), "podtap-cli-"));
  const clock = { now: () => Date.now() };
  const store = new Store({ path: join(folder, "store.sqlite") });
  const suffix = (): string => randomUUID().slice(0, 5);
  const cluster = new LocalCluster({ store, clock, ids: { uid: randomUUID, suffix }, admission });
  const server = await serveApi({
    cluster,
    socketPath: join(folder, "podtap.sock"),
    clock,
    version: "test",
    peerCredentials: () => ({ pid: process.pid, uid: process.getuid?.() ?? 0, gid: 0 }),
    routes,
  });
  const stop = new AbortController();
  const environment = {
    cluster,
    timers: {
      after: (ms: number, callback: () => void) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
    },
    now: () => new Date().toISOString(),
    warn: () => undefined,
  };
  const daemon: PodlessDaemon = {
    cluster,
    folder,
    setVmi: async (vmi, status) => {
      const { name, namespace = "default" } = vmi.metadata;
      const live = await cluster.get<Vmi>({ resource: VMIS, namespace, name });
      if (live?.metadata.uid !== vmi.metadata.uid || live === undefined) return;
      await cluster.updateStatus(VMIS, { ...live, status: { ...live.status, ...status } });
    },
    close: async () => {
      stop.abort();
      await Promise.all(running);
      await server.close();
      store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const running = [
    runController(vmController(environment), environment, stop.signal),
    runController(vmiController(environment, { memoryOf: () => 300 }), environment, stop.signal),
    playNode(daemon, life, stop.signal),
  ];
  return daemon;
}

/** Pods run as soon as they are there and let go as soon as they may. */
async function playNode(daemon: PodlessDaemon, life: Life, signal: AbortSignal): Promise<void> {
  const { cluster } = daemon;
  for await (const event of cluster.watch<Pod>(PODS, {}, signal)) {
    if (event.type !== "ADDED" && event.type !== "MODIFIED") continue;
    const pod = event.object;
    if (pod.metadata.deletionTimestamp !== undefined) {
      if (pod.metadata.finalizers?.length) {
        await cluster.update(PODS, { ...pod, metadata: { ...pod.metadata, finalizers: [] } });
      }
    } else if (pod.status?.phase !== "Running") {
      await cluster.updateStatus(PODS, { ...pod, status: { phase: "Running" } });
      const owner = pod.metadata.ownerReferences?.[0]?.name ?? "";
      const namespace = pod.metadata.namespace ?? "default";
      const vmi = await cluster.get<Vmi>({ resource: VMIS, namespace, name: owner });
      if (vmi !== undefined) void life.start?.(vmi, daemon);
    }
  }
}
