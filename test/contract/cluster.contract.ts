/**
 * What controllers may rely on, whatever the cluster is: run on the embedded store, through its REST API, and
 * (with a real one at hand) on Kubernetes.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { KubeObject } from "../../src/api/object.ts";
import { isAlreadyExists, isConflict, isNotFound } from "../../src/cluster/api-error.ts";
import type { KubeEvent } from "../../src/cluster/event-recorder.ts";
import {
  type Cluster,
  CONFIG_MAPS,
  EVENTS,
  NAMESPACES,
  type ObjectRef,
  PODS,
  type Resource,
  VIRTUAL_MACHINES,
  VMIS,
  type WatchEvent,
} from "../../src/cluster/port.ts";

export interface ClusterUnderTest {
  readonly cluster: Cluster;
  close(): Promise<void>;
}

const NAMESPACE = "contract";

export function clusterContract(name: string, open: () => Promise<ClusterUnderTest>): void {
  describe(`cluster contract: ${name}`, () => {
    let under: ClusterUnderTest;
    let cluster: Cluster;
    before(async () => {
      under = await open();
      cluster = under.cluster;
    });
    after(() => under.close());

    it("gives a new object uid, version, generation and time, and no status", async () => {
      const made = await cluster.create(VIRTUAL_MACHINES, { ...vm("new"), status: { ready: true } });
      assert.ok(made.metadata.uid);
      assert.match(made.metadata.resourceVersion ?? "", /^\d+$/);
      assert.equal(made.metadata.generation, 1);
      assert.match(made.metadata.creationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(made.status, undefined);
      assert.deepEqual(await cluster.get(ref(VIRTUAL_MACHINES, "new")), made);
      assert.equal(await cluster.get(ref(VIRTUAL_MACHINES, "none")), undefined);
    });

    it("refuses a name twice, and makes names that differ", async () => {
      await cluster.create(CONFIG_MAPS, configMap("twice"));
      await assert.rejects(cluster.create(CONFIG_MAPS, configMap("twice")), isAlreadyExists);
      const template = {
        ...configMap(""),
        metadata: { name: "", generateName: "gen-", namespace: NAMESPACE },
      };
      const [a, b] = [
        await cluster.create(CONFIG_MAPS, template),
        await cluster.create(CONFIG_MAPS, template),
      ];
      assert.match(a.metadata.name, /^gen-.{5}$/);
      assert.notEqual(a.metadata.name, b.metadata.name);
    });

    it("refuses names that are none", async () => {
      for (const bad of ["Upper", "a_b", "../x", "-a", "a".repeat(254), ""]) {
        await assert.rejects(
          cluster.create(CONFIG_MAPS, configMap(bad)),
          (thrown: Error & { code?: string }) => thrown.code === "PT-API-422",
          JSON.stringify(bad),
        );
      }
    });

    it("counts generations by the wish, and keeps wish and status apart", async () => {
      const made = await cluster.create(VIRTUAL_MACHINES, vm("wish"));
      const labelled = await cluster.update(VIRTUAL_MACHINES, {
        ...made,
        metadata: { ...made.metadata, labels: { a: "b" } },
        status: { ready: true },
      });
      assert.equal(labelled.metadata.generation, 1);
      assert.equal(labelled.status, undefined);
      const reported = await cluster.updateStatus(VIRTUAL_MACHINES, {
        ...labelled,
        spec: { running: true },
        status: { ready: false },
      });
      assert.deepEqual([reported.spec, reported.status], [{ running: false }, { ready: false }]);
      assert.equal(reported.metadata.generation, 1);
      const started = await cluster.update(VIRTUAL_MACHINES, { ...reported, spec: { running: true } });
      assert.deepEqual([started.metadata.generation, started.status], [2, { ready: false }]);
    });

    it("refuses a write over another's, and changes nothing when nothing changes", async () => {
      const first = await cluster.create(CONFIG_MAPS, configMap("race"));
      const second = await cluster.update(CONFIG_MAPS, withData(first, { a: "1" }));
      await assert.rejects(cluster.update(CONFIG_MAPS, withData(first, { a: "2" })), isConflict);
      const same = await cluster.update(CONFIG_MAPS, second);
      assert.equal(same.metadata.resourceVersion, second.metadata.resourceVersion);
      const { resourceVersion: _v, ...metadata } = second.metadata;
      const forced = await cluster.update(CONFIG_MAPS, withData({ ...second, metadata }, { a: "3" }));
      assert.notEqual(forced.metadata.resourceVersion, second.metadata.resourceVersion);
      await assert.rejects(cluster.update(CONFIG_MAPS, configMap("nobody")), isNotFound);
    });

    it("keeps identity whatever an update says", async () => {
      const made = await cluster.create(CONFIG_MAPS, configMap("identity"));
      const updated = await cluster.update(CONFIG_MAPS, {
        ...made,
        metadata: { ...made.metadata, creationTimestamp: "2001-01-01T00:00:00Z", generation: 77 },
      });
      assert.equal(updated.metadata.creationTimestamp, made.metadata.creationTimestamp);
      assert.equal(updated.metadata.uid, made.metadata.uid);
      const other = { ...made, metadata: { ...made.metadata, uid: "ffffffff-0000-0000-0000-000000000000" } };
      await assert.rejects(cluster.update(CONFIG_MAPS, other), isConflict);
    });

    it("selects by namespace and labels", async () => {
      const make = (name: string, namespace: string, labels: Record<string, string>): Promise<KubeObject> =>
        cluster.create(PODS, { apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels } });
      await make("p1", "select-a", { app: "web", tier: "front" });
      await make("p2", "select-a", { app: "db" });
      await make("p3", "select-b", { app: "web" });
      const names = async (namespace: string | undefined, labelSelector?: string): Promise<string[]> => {
        const options = {
          ...(namespace === undefined ? {} : { namespace }),
          ...(labelSelector === undefined ? {} : { labelSelector }),
        };
        return (await cluster.list(PODS, options)).map(({ metadata }) => metadata.name).sort();
      };
      assert.deepEqual(await names("select-a"), ["p1", "p2"]);
      assert.deepEqual(await names(undefined, "app=web"), ["p1", "p3"]);
      assert.deepEqual(await names("select-a", "app=web,tier"), ["p1"]);
      assert.deepEqual(await names("select-a", "app notin (web)"), ["p2"]);
      assert.deepEqual(await names(undefined, "app in (web, db),!tier"), ["p2", "p3"]);
    });

    it("keeps an object with finalizers until they are gone", async () => {
      const finalizers = ["podtap.io/network"];
      const made = await cluster.create(VMIS, withMetadata(vmi("held"), { finalizers }));
      await cluster.delete(ref(VMIS, "held"));
      const dying = await cluster.get(ref(VMIS, "held"));
      assert.ok(dying?.metadata.deletionTimestamp);
      await cluster.delete(ref(VMIS, "held"));
      const again = await cluster.get(ref(VMIS, "held"));
      assert.equal(again?.metadata.resourceVersion, dying.metadata.resourceVersion);
      await assert.rejects(
        cluster.update(VMIS, withMetadata(dying, { finalizers: [...finalizers, "podtap.io/late"] })),
        (thrown: Error & { code?: string }) => thrown.code === "PT-API-422",
      );
      const reported = await cluster.updateStatus(VMIS, { ...dying, status: { phase: "Succeeded" } });
      await cluster.update(VMIS, withMetadata(reported, { finalizers: [] }));
      assert.equal(await cluster.get(ref(VMIS, "held")), undefined);
      assert.ok(made.metadata.uid);
      await assert.rejects(cluster.delete(ref(VMIS, "held")), isNotFound);
    });

    it("deletes only the very object when asked by uid", async () => {
      const first = await cluster.create(CONFIG_MAPS, configMap("reborn"));
      await cluster.delete(ref(CONFIG_MAPS, "reborn"));
      const second = await cluster.create(CONFIG_MAPS, configMap("reborn"));
      assert.notEqual(first.metadata.uid, second.metadata.uid);
      await assert.rejects(
        cluster.delete(ref(CONFIG_MAPS, "reborn"), { uid: first.metadata.uid ?? "" }),
        isConflict,
      );
      await cluster.delete(ref(CONFIG_MAPS, "reborn"), { uid: second.metadata.uid ?? "" });
    });

    it("takes what an object owns along", async () => {
      const owner = await cluster.create(VIRTUAL_MACHINES, vm("owner"));
      const other = await cluster.create(VIRTUAL_MACHINES, vm("co-owner"));
      const middle = await cluster.create(VMIS, owned(vmi("middle"), owner));
      await cluster.create(CONFIG_MAPS, owned(configMap("leaf"), middle));
      await cluster.create(CONFIG_MAPS, owned(configMap("shared"), owner, other));
      await cluster.delete(ref(VIRTUAL_MACHINES, "owner"));
      await gone(cluster, ref(VMIS, "middle"));
      await gone(cluster, ref(CONFIG_MAPS, "leaf"));
      const shared = await until(async () => {
        const found = await cluster.get(ref(CONFIG_MAPS, "shared"));
        return found?.metadata.ownerReferences?.length === 1 ? found : undefined;
      });
      assert.equal(shared.metadata.ownerReferences?.[0]?.name, "co-owner");
    });

    it("leaves what is owned when asked to orphan it", async () => {
      const owner = await cluster.create(VIRTUAL_MACHINES, vm("parent"));
      await cluster.create(CONFIG_MAPS, owned(configMap("orphan"), owner));
      await cluster.delete(ref(VIRTUAL_MACHINES, "parent"), { propagation: "Orphan" });
      await gone(cluster, ref(VIRTUAL_MACHINES, "parent"));
      const left = await cluster.get(ref(CONFIG_MAPS, "orphan"));
      assert.equal(left?.metadata.ownerReferences, undefined);
    });

    it("removes the owner last when deletion is in the foreground", async () => {
      const owner = await cluster.create(VIRTUAL_MACHINES, vm("slow-owner"));
      const held = withMetadata(owned(vmi("slow-vmi"), owner), { finalizers: ["podtap.io/network"] });
      await cluster.create(VMIS, held);
      await cluster.delete(ref(VIRTUAL_MACHINES, "slow-owner"), { propagation: "Foreground" });
      assert.ok((await cluster.get(ref(VIRTUAL_MACHINES, "slow-owner")))?.metadata.deletionTimestamp);
      const dying = await until(async () => {
        const found = await cluster.get(ref(VMIS, "slow-vmi"));
        return found?.metadata.deletionTimestamp === undefined ? undefined : found;
      });
      await cluster.update(VMIS, withMetadata(dying, { finalizers: [] }));
      await gone(cluster, ref(VIRTUAL_MACHINES, "slow-owner"));
    });

    it("collects what was made for an owner that is gone", async () => {
      const owner = await cluster.create(VIRTUAL_MACHINES, vm("short-lived"));
      await cluster.delete(ref(VIRTUAL_MACHINES, "short-lived"));
      const late = await cluster.create(VMIS, owned(vmi("too-late"), owner));
      assert.ok(late.metadata.uid);
      await gone(cluster, ref(VMIS, "too-late"));
    });

    it("makes a namespace on the way, and empties one that is deleted", async () => {
      const made = withMetadata(configMap("inside"), {
        namespace: "short-lived",
        finalizers: ["podtap.io/x"],
      });
      const inside = await cluster.create(CONFIG_MAPS, made);
      const namespace = ref(NAMESPACES, "short-lived", "");
      assert.deepEqual((await cluster.get(namespace))?.status, { phase: "Active" });
      await cluster.delete(namespace);
      assert.deepEqual((await cluster.get(namespace))?.status, { phase: "Terminating" });
      await assert.rejects(
        cluster.create(CONFIG_MAPS, withMetadata(configMap("late"), { namespace: "short-lived" })),
        (thrown: Error & { code?: string }) => thrown.code === "PT-API-403",
      );
      const dying = await until(async () => {
        const found = await cluster.get(ref(CONFIG_MAPS, "inside", "short-lived"));
        return found?.metadata.deletionTimestamp === undefined ? undefined : found;
      });
      assert.equal(dying.metadata.uid, inside.metadata.uid);
      await cluster.update(CONFIG_MAPS, withMetadata(dying, { finalizers: [] }));
      await gone(cluster, namespace);
    });

    it("tells a watcher what there is, then that this was all, then every change", async () => {
      const options = { namespace: "watched" };
      const make = (name: string): KubeObject => withMetadata(configMap(name), options);
      await cluster.create(CONFIG_MAPS, make("early"));
      const watcher = watching(cluster, CONFIG_MAPS, options);
      await watcher.has(["ADDED early", "BOOKMARK"]);
      const late = await cluster.create(CONFIG_MAPS, make("late"));
      await cluster.update(CONFIG_MAPS, withData(late, { a: "1" }));
      await cluster.create(CONFIG_MAPS, configMap("elsewhere"));
      await cluster.delete(ref(CONFIG_MAPS, "late", "watched"));
      await watcher.has(["ADDED early", "BOOKMARK", "ADDED late", "MODIFIED late", "DELETED late"]);
      await watcher.stop();
    });

    it("shows a watcher of labels what enters and leaves its view", async () => {
      const watcher = watching(cluster, CONFIG_MAPS, { labelSelector: "view=yes" });
      const made = await cluster.create(CONFIG_MAPS, configMap("view"));
      const inside = await cluster.update(CONFIG_MAPS, withMetadata(made, { labels: { view: "yes" } }));
      const changed = await cluster.update(CONFIG_MAPS, withData(inside, { a: "1" }));
      await cluster.update(CONFIG_MAPS, withMetadata(changed, { labels: { view: "no" } }));
      await watcher.has(["BOOKMARK", "ADDED view", "MODIFIED view", "DELETED view"]);
      await watcher.stop();
    });

    it("serves several watchers, each at its own speed", async () => {
      const options = { namespace: "two-watchers" };
      const quick = watching(cluster, CONFIG_MAPS, options);
      const stop = new AbortController();
      const slow = cluster.watch(CONFIG_MAPS, options, stop.signal)[Symbol.asyncIterator]();
      await slow.next();
      for (let i = 0; i < 30; i++) {
        await cluster.create(CONFIG_MAPS, withMetadata(configMap(`n${i}`), options));
      }
      await quick.has(["BOOKMARK", ...Array.from({ length: 30 }, (_, i) => `ADDED n${i}`)]);
      for (let i = 0; i < 30; i++) {
        const { value } = await slow.next();
        assert.equal(label(value), `ADDED n${i}`);
      }
      stop.abort();
      await quick.stop();
    });

    it("counts an event that is said again, and keeps events few", async () => {
      const about = await cluster.create(VMIS, vmi("noisy"));
      const events = async (): Promise<readonly KubeEvent[]> =>
        (await cluster.list<KubeEvent>(EVENTS, { namespace: NAMESPACE })).filter(
          (event) => event.involvedObject.uid === about.metadata.uid,
        );
      const say = (message: string): Promise<void> =>
        cluster.recordEvent({ about, type: "Warning", reason: "Spoofed", message });
      await Promise.all([say("wrong MAC"), say("wrong MAC"), say("wrong MAC")]);
      const [event, ...rest] = await events();
      assert.deepEqual([rest.length, event?.count, event?.message], [0, 3, "wrong MAC"]);
      assert.deepEqual(
        [event?.involvedObject.kind, event?.source.component],
        ["VirtualMachineInstance", "podtap"],
      );
      for (let i = 0; i < 40; i++) await say(`wrong address ${i}`);
      const all = await events();
      assert.ok(all.length <= 11, `${all.length} events`);
      assert.ok(all.some(({ message, count }) => message.startsWith("(combined") && count > 20));
    });
  });
}

function ref(resource: Resource, name: string, namespace = NAMESPACE): ObjectRef {
  return { resource, namespace, name };
}

function vm(name: string): KubeObject {
  const metadata = { name, namespace: NAMESPACE };
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", metadata, spec: { running: false } };
}

function vmi(name: string): KubeObject {
  const metadata = { name, namespace: NAMESPACE };
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata, spec: { domain: {} } };
}

function configMap(name: string): KubeObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: NAMESPACE } };
}

function withData(object: KubeObject, data: Record<string, string>): KubeObject {
  return { ...object, data } as KubeObject;
}

function withMetadata(object: KubeObject, changed: Partial<KubeObject["metadata"]>): KubeObject {
  return { ...object, metadata: { ...object.metadata, ...changed } };
}

function owned(object: KubeObject, ...owners: readonly KubeObject[]): KubeObject {
  const ownerReferences = owners.map(({ apiVersion, kind, metadata }, i) => ({
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid ?? "",
    controller: i === 0,
  }));
  return withMetadata(object, { ownerReferences });
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, "not within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function gone(cluster: Cluster, at: ObjectRef): Promise<void> {
  await until(async () => ((await cluster.get(at)) === undefined ? true : undefined));
}

function label(event: WatchEvent): string {
  return event.type === "BOOKMARK" ? "BOOKMARK" : `${event.type} ${event.object.metadata.name}`;
}

interface Watcher {
  /** Exactly these, in this order, within a while. */
  has(expected: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

function watching(
  cluster: Cluster,
  resource: Resource,
  options: { readonly namespace?: string; readonly labelSelector?: string },
): Watcher {
  const stop = new AbortController();
  const seen: string[] = [];
  const ended = (async () => {
    for await (const event of cluster.watch(resource, options, stop.signal)) seen.push(label(event));
  })();
  return {
    has: async (expected) => {
      await until(async () => (seen.length >= expected.length ? true : undefined)).catch(() => undefined);
      assert.deepEqual(seen, expected);
    },
    stop: async () => {
      stop.abort();
      await ended;
    },
  };
}
