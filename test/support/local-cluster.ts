/** An embedded cluster in a directory of its own, with a clock and names that a test can foresee. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiServer, type ApiServerOptions, serveApi } from "../../src/cluster/local/api-server.ts";
import { LocalCluster } from "../../src/cluster/local/local-cluster.ts";
import type { Admission } from "../../src/cluster/local/objects.ts";
import { Store, type StoreOptions } from "../../src/cluster/local/store.ts";

export interface TestCluster {
  readonly cluster: LocalCluster;
  readonly store: Store;
  readonly directory: string;
  readonly clock: { now(): number; advance(milliseconds: number): void };
  /** Serves it; closed with the cluster. */
  serve(options?: Partial<ApiServerOptions>): Promise<ApiServer>;
  close(): Promise<void>;
}

export interface TestClusterOptions extends Partial<StoreOptions> {
  readonly admission?: readonly Admission[];
}

/** 2026-11-21T12:00:00Z */
export const TEST_NOW = Date.UTC(2026, 10, 21, 12);

export function openTestCluster(options: TestClusterOptions = {}): TestCluster {
  const directory = mkdtempSync(join(tmpdir(), "podtap-cluster-"));
  const { admission, ...storeOptions } = options;
  const store = new Store({ path: join(directory, "store.sqlite"), ...storeOptions });
  let now = TEST_NOW;
  const clock = {
    now: () => now,
    advance: (milliseconds: number) => {
      now += milliseconds;
    },
  };
  let serial = 0;
  const ids = {
    uid: () => `00000000-0000-4000-8000-${String(++serial).padStart(12, "0")}`,
    suffix: () => (++serial).toString(36).padStart(5, "0"),
  };
  const cluster = new LocalCluster({ store, clock, ids, ...(admission === undefined ? {} : { admission }) });
  const servers: ApiServer[] = [];
  return {
    cluster,
    store,
    directory,
    clock,
    serve: async (overrides = {}) => {
      const server = await serveApi({
        cluster,
        clock,
        version: "0.0.0",
        socketPath: join(directory, `api${servers.length}.sock`),
        peerCredentials: () => ({ pid: process.pid, uid: 0, gid: 0 }),
        ...overrides,
      });
      servers.push(server);
      return server;
    },
    close: async () => {
      await Promise.all(servers.map((server) => server.close()));
      cluster.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Polls until it gives something else than undefined or false. */
export async function eventually<T>(what: string, look: () => T | undefined | false): Promise<T> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found as T;
    if (performance.now() > deadline) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
