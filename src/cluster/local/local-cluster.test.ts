import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestCluster } from "../../../test/support/local-cluster.ts";
import type { KubeObject } from "../../api/object.ts";
import type { KubeEvent } from "../event-recorder.ts";
import { CONFIG_MAPS, EVENTS, NAMESPACES, SECRETS, VMIS } from "../port.ts";
import { LocalCluster } from "./local-cluster.ts";
import { Store } from "./store.ts";

function cm(name: string, extra: object = {}): KubeObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, ...extra };
}

test("a watcher with almost no history behind it ends up knowing exactly what there is", async (t) => {
  const { cluster, close } = openTestCluster({ history: 1 });
  t.after(close);
  const known = new Map<string, string>();
  const stop = new AbortController();
  const watcher = (async () => {
    for await (const event of cluster.watch(CONFIG_MAPS, { labelSelector: "seen!=no" }, stop.signal)) {
      if (event.type === "BOOKMARK") continue;
      const { uid = "", name, resourceVersion = "" } = event.object.metadata;
      assert.equal(known.has(uid), event.type !== "ADDED", `${event.type} ${name}`);
      if (event.type === "DELETED") known.delete(uid);
      else known.set(uid, resourceVersion);
      // Slower than what happens.
      await new Promise(setImmediate);
    }
  })();
  for (let i = 0; i < 300; i++) {
    const name = `c${i % 17}`;
    const ref = { resource: CONFIG_MAPS, namespace: "default", name };
    const live = await cluster.get(ref);
    if (live === undefined) await cluster.create(CONFIG_MAPS, cm(name));
    else if (i % 3 === 0) await cluster.delete(ref);
    else {
      const labels = { seen: i % 5 === 0 ? "no" : "yes" };
      await cluster.update(CONFIG_MAPS, { ...live, metadata: { ...live.metadata, labels } });
    }
    if (i % 7 === 0) await new Promise(setImmediate);
  }
  const there = (await cluster.list(CONFIG_MAPS, { labelSelector: "seen!=no" })).map(
    ({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`,
  );
  await eventually("the same state", () => {
    const told = [...known].map(([uid, version]) => `${uid} ${version}`);
    return told.sort().join() === there.sort().join();
  });
  assert.ok(there.length > 5);
  stop.abort();
  await watcher;
});

test("an aborted watch ends, also while it waits", async (t) => {
  const { cluster, close } = openTestCluster();
  t.after(close);
  const stop = new AbortController();
  const events = cluster.watch(VMIS, {}, stop.signal);
  assert.equal((await events.next()).value?.type, "BOOKMARK");
  const waiting = events.next();
  stop.abort();
  assert.equal((await waiting).done, true);
});

test("events are forgotten an hour after they were last said", async (t) => {
  const { cluster, clock, close } = openTestCluster();
  t.after(close);
  const about = await cluster.create(CONFIG_MAPS, cm("noisy"));
  const say = (message: string): Promise<void> =>
    cluster.recordEvent({ about, type: "Normal", reason: "Said", message });
  await say("old");
  await say("kept");
  clock.advance(3_000_000);
  await say("kept");
  clock.advance(1_000_000);
  await say("new");
  const messages = (await cluster.list<KubeEvent>(EVENTS)).map(({ message, count }) => `${message} ${count}`);
  assert.deepEqual(messages.sort(), ["kept 2", "new 1"]);
});

test("what lost its owner while the daemon was down is collected at the next start", async (t) => {
  const opened = openTestCluster();
  t.after(opened.close);
  const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "gone", uid: "gone" }];
  const orphan = cm("orphan", {
    metadata: { name: "orphan", namespace: "default", uid: "o", ownerReferences },
  });
  opened.store.commit([{ resource: "configmaps", op: "put", object: orphan }], true);
  opened.store.close();
  const store = new Store({ path: `${opened.directory}/store.sqlite` });
  t.after(() => store.close());
  const ids = { uid: () => "u", suffix: () => "s" };
  const again = new LocalCluster({ store, clock: opened.clock, ids });
  assert.deepEqual(await again.list(CONFIG_MAPS), []);
  assert.equal((await again.list(NAMESPACES)).length, 1, "default is made once");
});

test("a Secret's plain text is stored encoded", async (t) => {
  const { cluster, close } = openTestCluster();
  t.after(close);
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    stringData: { password: "pä55" },
  };
  const made = (await cluster.create(SECRETS, secret as KubeObject)) as KubeObject & {
    type?: string;
    data?: Record<string, string>;
    stringData?: unknown;
  };
  assert.equal(made.type, "Opaque");
  assert.equal(Buffer.from(made.data?.["password"] ?? "", "base64").toString(), "pä55");
  assert.equal(made.stringData, undefined);
});

test("the default namespace cannot be deleted", async (t) => {
  const { cluster, close } = openTestCluster();
  t.after(close);
  await assert.rejects(
    cluster.delete({ resource: NAMESPACES, namespace: "", name: "default" }),
    /this namespace may not be deleted/,
  );
});
