import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, request, type Server } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openTestCluster, type TestCluster } from "../../../test/support/local-cluster.ts";
import type { KubeObject } from "../../api/object.ts";
import { PodtapError } from "../../base/errors.ts";
import { isConflict, isNotFound } from "../../cluster/api-error.ts";
import type { ApiRoute } from "../../cluster/local/exchange.ts";
import { CONFIG_MAPS, VIRTUAL_MACHINES } from "../../cluster/port.ts";
import { ApiClient } from "./client.ts";
import { LAST_APPLIED } from "./client-apply.ts";

async function open(
  t: TestContext,
  options: { readonly routes?: readonly ApiRoute[]; readonly history?: number } = {},
): Promise<TestCluster & { readonly client: ApiClient }> {
  const { routes = [], ...rest } = options;
  const opened = openTestCluster(rest);
  const { socketPath } = await opened.serve({ routes });
  const client = new ApiClient(socketPath);
  t.after(() => {
    client.close();
    return opened.close();
  });
  return { ...opened, client };
}

function vm(name: string, spec: object): KubeObject {
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", metadata: { name }, spec };
}

function withCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PodtapError && thrown.code === code;
}

test("apply creates, then changes nothing, then changes only what the manifest says", async (t) => {
  const { client, cluster } = await open(t);
  const manifest = vm("web", { running: true, template: { a: 1, b: [{ x: 1 }] } });
  const first = await client.apply(manifest);
  assert.equal(first.outcome, "created");
  assert.equal(first.object.metadata.namespace, "default");
  const second = await client.apply(manifest);
  assert.deepEqual([second.outcome, second.object.metadata], ["unchanged", first.object.metadata]);

  // Somebody else adds a label and a field; both stay, and do not count as a difference.
  const live = await client.get(VIRTUAL_MACHINES, { namespace: "default", name: "web" });
  const spec = {
    ...(live.spec as object),
    machine: "q35",
    template: { a: 1, b: [{ x: 1, defaulted: true }] },
  };
  await cluster.update(VIRTUAL_MACHINES, {
    ...live,
    metadata: { ...live.metadata, labels: { theirs: "yes" } },
    spec,
  });
  assert.equal((await client.apply(manifest)).outcome, "unchanged");

  const third = await client.apply(vm("web", { running: false, template: { b: [{ x: 2 }] } }));
  assert.equal(third.outcome, "configured");
  assert.deepEqual(third.object.spec, { running: false, machine: "q35", template: { b: [{ x: 2 }] } });
  assert.deepEqual(third.object.metadata.labels, { theirs: "yes" });
  assert.equal(third.object.metadata.generation, 3);
});

test("apply keeps what it applied in kubectl's annotation and form", async (t) => {
  const { client } = await open(t);
  const { object } = await client.apply({
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { namespace: "default", name: "c", annotations: { note: "x" } },
    data: { b: "2", a: "1" },
  } as KubeObject);
  assert.equal(
    object.metadata.annotations?.[LAST_APPLIED],
    '{"apiVersion":"v1","data":{"a":"1","b":"2"},"kind":"ConfigMap","metadata":{"annotations":{"note":"x"},"name":"c","namespace":"default"}}\n',
  );
  const without = await client.apply({ ...object, metadata: { name: "c" }, data: { a: "1" } } as KubeObject);
  assert.deepEqual(Object.keys(without.object.metadata.annotations ?? {}), [LAST_APPLIED]);
  assert.deepEqual((without.object as { data?: unknown }).data, { a: "1" });
});

test("refusals of the server are ApiErrors with their details", async (t) => {
  const { client } = await open(t);
  await assert.rejects(client.get(CONFIG_MAPS, { namespace: "default", name: "none" }), isNotFound);
  assert.equal(await client.find(CONFIG_MAPS, { namespace: "default", name: "none" }), undefined);
  assert.equal(await client.delete(CONFIG_MAPS, { namespace: "default", name: "none" }), false);
  await assert.rejects(
    client.apply(vm("Bad_Name", {})),
    (thrown: Error & { details?: { causes?: unknown[] } }) => {
      assert.ok(withCode("PT-API-422")(thrown));
      return thrown.details?.causes?.length === 1;
    },
  );
  const { object } = await client.create(vm("v", { a: 1 }));
  await client.patch(VIRTUAL_MACHINES, { namespace: "default", name: "v" }, { spec: { a: 2 } });
  await assert.rejects(client.replace(object), isConflict);
  await assert.rejects(client.apply({ ...object, kind: "Deployment" }), withCode("PT-MANIFEST-3"));
});

test("no daemon, no permission and a broken connection are told apart", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "podtap-client-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const absent = new ApiClient(join(directory, "absent.sock"));
  await assert.rejects(absent.list(CONFIG_MAPS), withCode("PT-ENV-5"));
  await assert.rejects(absent.stream("/x"), withCode("PT-ENV-5"));

  const socketPath = join(directory, "rude.sock");
  const rude = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => rude.listen(socketPath, resolve));
  t.after(() => rude.close());
  await assert.rejects(new ApiClient(socketPath).list(CONFIG_MAPS), withCode("PT-ENV-7"));

  // Root opens everything; the kernel's refusal is seen as anybody else.
  if (process.getuid?.() !== 0) {
    chmodSync(socketPath, 0);
    await assert.rejects(new ApiClient(socketPath).list(CONFIG_MAPS), withCode("PT-ENV-4"));
  }
});

test("waiting sees what is there, what comes and what goes, and gives up when told", async (t) => {
  const { client, cluster } = await open(t, { history: 1 });
  const place = { namespace: "default", name: "late" };
  const signal = AbortSignal.timeout(5000);
  const appeared = client.waitFor(VIRTUAL_MACHINES, place, (it) => it !== undefined, signal);
  await cluster.create(VIRTUAL_MACHINES, vm("other", {}));
  const made = await cluster.create(VIRTUAL_MACHINES, vm("late", {}));
  assert.equal((await appeared)?.metadata.uid, made.metadata.uid);
  const ready = client.waitFor(
    VIRTUAL_MACHINES,
    place,
    (it) => (it?.status as { ready?: boolean } | undefined)?.ready === true,
    signal,
  );
  await cluster.updateStatus(VIRTUAL_MACHINES, { ...made, status: { ready: true } });
  await ready;
  const gone = client.waitFor(VIRTUAL_MACHINES, place, (it) => it === undefined, signal);
  await cluster.delete({ resource: VIRTUAL_MACHINES, ...place });
  assert.equal(await gone, undefined);
  const stop = new AbortController();
  const never = client.waitFor(VIRTUAL_MACHINES, place, (it) => it !== undefined, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(never, /enough/);
});

test("waiting ends with the daemon", async (t) => {
  const { client, close } = await open(t);
  const place = { namespace: "default", name: "never" };
  const waiting = client.waitFor(
    VIRTUAL_MACHINES,
    place,
    (it) => it !== undefined,
    AbortSignal.timeout(5000),
  );
  const rejected = assert.rejects(waiting, withCode("PT-ENV-5"));
  await client.list(VIRTUAL_MACHINES);
  await close();
  await rejected;
});

test("a client that has the daemon back asks again, and takes what was done for done", async (t) => {
  const { cluster, directory, serve, close } = openTestCluster();
  t.after(close);
  const socketPath = join(directory, "mortal.sock");
  // Dies with each request it is told of, before or after doing it.
  const deaths = new Map<string, "before" | "after">();
  let reached = 0;
  const behind = await serve({ socketPath: join(directory, "behind.sock") });
  const front = (): Promise<Server> => {
    const server = createHttpServer((asked, answer) => {
      reached += 1;
      const when = deaths.get(`${asked.method}`);
      deaths.delete(`${asked.method}`);
      const die = (): void => {
        server.close();
        server.closeAllConnections();
        rmSync(socketPath, { force: true });
      };
      if (when === "before") return die();
      const { method = "", url: path = "", headers } = asked;
      const onward = request({ socketPath: behind.socketPath, method, path, headers }, (answered) => {
        if (when === "after") {
          answered.resume().once("end", die);
        } else {
          answer.writeHead(answered.statusCode ?? 0, answered.headers);
          answered.pipe(answer);
        }
      });
      asked.pipe(onward);
    });
    return new Promise((listening) => server.listen(socketPath, () => listening(server)));
  };
  let now = await front();
  t.after(() => now.close());
  const causes: string[] = [];
  const client = new ApiClient(socketPath, async ({ code }) => {
    causes.push(code);
    now = await front();
  });
  t.after(() => client.close());

  const place = { namespace: "default", name: "web" };
  for (const when of ["before", "after"] as const) {
    deaths.set("GET", when).set("POST", when);
    const made = await client.apply(vm("web", { running: false }));
    assert.equal(made.outcome, "created", when);
    deaths.set("PATCH", when);
    const changed = await client.apply(vm("web", { running: true }));
    assert.equal(changed.outcome, "configured", when);
    assert.deepEqual((await cluster.get({ resource: VIRTUAL_MACHINES, ...place }))?.spec, { running: true });
    assert.equal((await client.apply(vm("web", { running: true }))).outcome, "unchanged", when);
    deaths.set("DELETE", when);
    assert.equal(await client.delete(VIRTUAL_MACHINES, place), true, when);
    assert.equal(await client.delete(VIRTUAL_MACHINES, place), false, when);
  }
  assert.deepEqual(causes, Array(8).fill("PT-ENV-7"));

  now.close();
  rmSync(socketPath, { force: true });
  const late = new ApiClient(socketPath, async ({ code }) => {
    causes.push(code);
    now = await front();
  });
  t.after(() => late.close());
  const before = reached;
  assert.equal((await late.create(vm("web", {}))).outcome, "created");
  assert.deepEqual([causes.at(-1), reached - before], ["PT-ENV-5", 1]);
});

test("a stream carries bytes both ways, and a refused one says why", async (t) => {
  const echo: ApiRoute = {
    match: (_method, [root]) =>
      root === "loop"
        ? {
            stream: ({ accept }) => {
              const socket = accept();
              socket.write("hello ");
              socket.pipe(socket);
            },
          }
        : undefined,
  };
  const { client } = await open(t, { routes: [echo] });
  const socket = await client.stream("/loop");
  socket.end("there");
  let text = "";
  for await (const part of socket) text += part;
  assert.equal(text, "hello there");
  await assert.rejects(client.stream("/none"), isNotFound);
});
