import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { KubeObject } from "../../api/object.ts";
import { PodtapError } from "../../base/errors.ts";
import { type Mutation, Store } from "./store.ts";

function pathFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "podtap-store-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "store.sqlite");
}

function object(name: string, extra: object = {}): KubeObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default", uid: name },
    ...extra,
  };
}

function put(name: string, extra: object = {}): Mutation {
  return { resource: "configmaps", op: "put", object: object(name, extra) };
}

function withCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PodtapError && thrown.code === code;
}

test("a store that is opened again has the same objects and goes on counting", (t) => {
  const path = pathFor(t);
  const first = new Store({ path });
  first.commit([put("a"), put("b", { data: { key: "ü \u0000 💾" } })], true);
  const [deleted] = first.commit([{ resource: "configmaps", op: "delete", object: object("a") }], false);
  assert.equal(deleted?.revision, 3);
  first.close();
  const second = new Store({ path });
  t.after(() => second.close());
  assert.equal(second.revision, 3);
  assert.equal(second.get("configmaps", "default", "a"), undefined);
  const kept = second.get("configmaps", "default", "b");
  assert.deepEqual(
    kept?.object,
    object("b", {
      data: { key: "ü \u0000 💾" },
      metadata: { name: "b", namespace: "default", uid: "b", resourceVersion: "2" },
    }),
  );
  assert.deepEqual(JSON.parse(kept?.text ?? ""), kept?.object);
  assert.equal(second.commit([put("c")], false)[0]?.revision, 4);
});

test("Secrets lie in a file that only its owner reads", (t) => {
  const path = pathFor(t);
  new Store({ path }).close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("objects handed out cannot be changed, nor through the caller's own copy", (t) => {
  const store = new Store({ path: pathFor(t) });
  t.after(() => store.close());
  const data: Record<string, string> = { a: "1" };
  store.commit([put("x", { data })], false);
  data["a"] = "2";
  const stored = store.get("configmaps", "default", "x")?.object as KubeObject & { data: typeof data };
  assert.equal(stored.data["a"], "1");
  assert.throws(() => {
    stored.data["a"] = "3";
  }, TypeError);
});

test("history resumes where it reaches, and says so where it does not", (t) => {
  const store = new Store({ path: pathFor(t), history: 3 });
  t.after(() => store.close());
  for (const name of ["a", "b", "c", "d", "e"]) store.commit([put(name)], false);
  const names = (revision: number): string[] | undefined =>
    store.changesAfter(revision)?.map((change) => change.object.metadata.name);
  assert.deepEqual(names(5), []);
  assert.deepEqual(names(2), ["c", "d", "e"]);
  assert.equal(names(1), undefined);
  assert.equal(names(6), undefined, "a revision of another store");
});

test("history is bounded by what it holds, not only by how many", (t) => {
  const store = new Store({ path: pathFor(t), historyBytes: 10_000 });
  t.after(() => store.close());
  for (let i = 0; i < 20; i++) store.commit([put("big", { data: { text: "x".repeat(2000) } })], false);
  assert.equal(store.revision, 20);
  assert.ok(store.oldest >= 15, `${store.oldest}`);
});

test("a batch is written whole or not at all", (t) => {
  const path = pathFor(t);
  const store = new Store({ path });
  store.commit([put("before")], true);
  const broken = { resource: "configmaps", op: "put", object: object("bad", { n: 1n }) } as const;
  assert.throws(() => store.commit([put("good"), broken], true));
  assert.equal(store.get("configmaps", "default", "good"), undefined);
  assert.equal(store.revision, 1);
  store.close();
  const again = new Store({ path });
  t.after(() => again.close());
  assert.deepEqual(
    again.list("configmaps").map(({ object: it }) => it.metadata.name),
    ["before"],
  );
});

test("a second daemon on the same store is refused", (t) => {
  const path = pathFor(t);
  const store = new Store({ path });
  t.after(() => store.close());
  assert.throws(() => new Store({ path }), withCode("PT-STORE-3"));
});

test("a damaged store is named, and not written over", (t) => {
  const path = pathFor(t);
  writeFileSync(path, "this is no database, but it is somebody's file\n".repeat(100));
  assert.throws(() => new Store({ path }), withCode("PT-STORE-4"));
  assert.ok(statSync(path).size > 4000);
});

test("a store of a newer podtap is refused", (t) => {
  const path = pathFor(t);
  new Store({ path }).close();
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 99");
  db.close();
  assert.throws(() => new Store({ path }), withCode("PT-STORE-2"));
});

test("a store in a directory that does not exist is an error with a hint", () => {
  assert.throws(() => new Store({ path: "/nonexistent/store.sqlite" }), withCode("PT-STORE-1"));
});

const WRITER = `
  import { Store } from ${JSON.stringify(join(import.meta.dirname, "store.ts"))};
  const store = new Store({ path: process.argv[1] });
  const metadata = { namespace: "default" };
  for (let i = 0; ; i++) {
    // A pair in each commit: either both are there afterwards or none.
    const pair = ["left", "right"].map((side) => ({
      resource: "configmaps", op: "put",
      object: { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: side + i % 50 }, data: { i: "" + i } },
    }));
    const [, last] = store.commit(pair, i % 3 === 0);
    process.stdout.write(last.revision + "\\n");
    await new Promise(setImmediate);
  }
`;

test("killed at any moment, nothing that was acknowledged is lost and no commit is torn", async (t) => {
  const path = pathFor(t);
  for (let round = 0; round < 3; round++) {
    const acknowledged = await killAfter(path, 40 + round * 17);
    const store = new Store({ path });
    assert.ok(store.revision >= acknowledged, `${store.revision} < ${acknowledged}`);
    const value = (name: string): unknown =>
      (store.get("configmaps", "default", name)?.object as { data?: unknown } | undefined)?.data;
    for (let i = 0; i < 50; i++) assert.deepEqual(value(`left${i}`), value(`right${i}`));
    const versions = store.list("configmaps").map(({ object: it }) => Number(it.metadata.resourceVersion));
    assert.equal(Math.max(...versions), store.revision);
    store.close();
  }
});

/** The last revision the writer told of before it was killed. */
function killAfter(path: string, acknowledgements: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", WRITER, path];
    const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stderr.on("data", (part) => {
      errors += part;
    });
    child.stdout.on("data", (part) => {
      output += part;
      if (output.split("\n").length > acknowledgements) child.kill("SIGKILL");
    });
    child.once("close", (_code, signal) => {
      const revision = Number(output.split("\n").at(-2));
      if (signal === "SIGKILL") resolve(revision);
      else reject(new Error(`the writer ended by itself: ${errors}`));
    });
  });
}
