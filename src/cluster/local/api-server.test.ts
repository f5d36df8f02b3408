import assert from "node:assert/strict";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import type { TestClusterOptions } from "../../../test/support/local-cluster.ts";
import { eventually, openTestCluster, type TestCluster } from "../../../test/support/local-cluster.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok } from "../../base/result.ts";
import type { ApiServerOptions } from "./api-server.ts";

const CMS = "/api/v1/namespaces/default/configmaps";
const VMS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachines";

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into, not typed
type Json = any;

interface Call {
  readonly method?: string;
  readonly body?: unknown;
  readonly text?: string;
  readonly type?: string;
  readonly accept?: string;
}

interface Api extends TestCluster {
  readonly socketPath: string;
  call(
    path: string,
    call?: Call,
  ): Promise<{ readonly status: number; readonly body: Json; readonly warning?: string }>;
  /** Lines of a watch as they come. */
  watch(
    path: string,
    accept?: string,
  ): Promise<{ readonly lines: Json[]; readonly response: IncomingMessage }>;
}

async function openApi(
  t: TestContext,
  options: TestClusterOptions & { readonly server?: Partial<ApiServerOptions> } = {},
): Promise<Api> {
  const opened = openTestCluster(options);
  t.after(() => opened.close());
  const { socketPath } = await opened.serve(options.server);
  const send = (path: string, call: Call): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const text = call.text ?? (call.body === undefined ? undefined : JSON.stringify(call.body));
      const headers = {
        ...(call.accept === undefined ? {} : { accept: call.accept }),
        ...(text === undefined
          ? {}
          : {
              "content-type": call.type ?? "application/json",
              "content-length": Buffer.byteLength(text),
            }),
      };
      const asked = request(
        { socketPath, path, method: call.method ?? "GET", headers, agent: false },
        resolve,
      );
      asked.once("error", reject);
      asked.end(text);
    });
  return {
    ...opened,
    socketPath,
    call: async (path, call = {}) => {
      const response = await send(path, call);
      let text = "";
      for await (const part of response.setEncoding("utf8")) text += part;
      const { warning } = response.headers;
      const json = response.headers["content-type"]?.startsWith("application/json") === true;
      return {
        status: response.statusCode ?? 0,
        body: json ? JSON.parse(text) : text,
        ...(warning === undefined ? {} : { warning }),
      };
    },
    watch: async (path, accept) => {
      const response = await send(path, accept === undefined ? {} : { accept });
      const lines: Json[] = [];
      let rest = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        const all = (rest + part).split("\n");
        rest = all.pop() ?? "";
        lines.push(...all.map((line) => JSON.parse(line)));
      });
      response.on("error", () => undefined);
      t.after(() => response.destroy());
      return { lines, response };
    },
  };
}

function cm(name: string, data: Record<string, string> = {}): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data };
}

function vm(name: string, extra: object = {}): object {
  const metadata = { name };
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata,
    spec: { running: false },
    ...extra,
  };
}

function labels(lines: readonly Json[]): string[] {
  return lines.map(({ type, object }) => `${type} ${object.metadata?.name ?? ""}`.trim());
}

test("discovery lists what is served, in both forms", async (t) => {
  const api = await openApi(t);
  assert.deepEqual((await api.call("/api")).body.versions, ["v1"]);
  const groups = (await api.call("/apis")).body.groups.map((it: Json) => it.preferredVersion.groupVersion);
  assert.deepEqual(groups.sort(), ["k8s.cni.cncf.io/v1", "kubevirt.io/v1"]);
  const { body } = await api.call("/apis/kubevirt.io/v1");
  const vms = body.resources.find((it: Json) => it.name === "virtualmachines");
  assert.deepEqual([vms.shortNames, vms.namespaced, vms.kind], [["vm", "vms"], true, "VirtualMachine"]);
  assert.ok(body.resources.some((it: Json) => it.name === "virtualmachines/status"));
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
  const aggregated = (await api.call("/apis", { accept })).body;
  assert.equal(aggregated.kind, "APIGroupDiscoveryList");
  assert.equal((await api.call("/apis/kubevirt.io")).body.kind, "APIGroup");
  assert.match((await api.call("/version")).body.gitVersion, /^v1\.\d+\.\d+\+podtap-/);
  assert.equal((await api.call("/apis/nope.io/v1")).body.reason, "NotFound");
});

test("health, and readiness with its reason", async (t) => {
  let why: string | undefined = "the bridge is not there";
  const api = await openApi(t, { server: { notReady: () => why } });
  assert.deepEqual(await api.call("/healthz"), { status: 200, body: "ok" });
  assert.equal((await api.call("/livez")).status, 200);
  const unready = await api.call("/readyz");
  assert.deepEqual([unready.status, unready.body], [503, "not ready: the bridge is not there\n"]);
  why = undefined;
  assert.equal((await api.call("/readyz")).status, 200);
});

test("an object is made, read, replaced, patched and deleted", async (t) => {
  const api = await openApi(t);
  const made = await api.call(VMS, { method: "POST", body: vm("web") });
  assert.deepEqual([made.status, made.body.metadata.namespace], [201, "default"]);
  assert.equal((await api.call(`${VMS}/web`)).body.metadata.uid, made.body.metadata.uid);
  const replaced = await api.call(`${VMS}/web`, {
    method: "PUT",
    body: vm("web", { spec: { running: true } }),
  });
  assert.deepEqual([replaced.body.spec, replaced.body.metadata.generation], [{ running: true }, 2]);
  const type = "application/merge-patch+json";
  const status = { status: { ready: true }, spec: { running: false } };
  const patched = await api.call(`${VMS}/web/status`, { method: "PATCH", type, body: status });
  assert.deepEqual([patched.body.status, patched.body.spec], [{ ready: true }, { running: true }]);
  const listed = await api.call("/apis/kubevirt.io/v1/virtualmachines");
  assert.deepEqual([listed.body.kind, listed.body.items.length], ["VirtualMachineList", 1]);
  assert.equal(listed.body.metadata.resourceVersion, patched.body.metadata.resourceVersion);
  const deleted = await api.call(`${VMS}/web`, { method: "DELETE" });
  assert.deepEqual([deleted.body.status, deleted.body.details.uid], ["Success", made.body.metadata.uid]);
  const gone = await api.call(`${VMS}/web`);
  assert.deepEqual(gone.body, {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: 'virtualmachines.kubevirt.io "web" not found',
    reason: "NotFound",
    details: { name: "web", group: "kubevirt.io", kind: "virtualmachines" },
    code: 404,
  });
});

test("every kind of patch works, and an unknown one is refused by name", async (t) => {
  const api = await openApi(t);
  await api.call(CMS, { method: "POST", body: cm("c", { a: "1", b: "2" }) });
  const patch = (type: string, body: unknown): ReturnType<Api["call"]> =>
    api.call(`${CMS}/c`, { method: "PATCH", type, body });
  assert.deepEqual((await patch("application/merge-patch+json", { data: { a: null } })).body.data, {
    b: "2",
  });
  const add = [
    { op: "test", path: "/data/b", value: "2" },
    { op: "add", path: "/data/c", value: "3" },
  ];
  assert.deepEqual((await patch("application/json-patch+json", add)).body.data, { b: "2", c: "3" });
  assert.equal(
    (await patch("application/json-patch+json", add.slice(0, 1).concat({ ...add[1]!, op: "test" }))).status,
    200,
  );
  assert.equal(
    (await patch("application/json-patch+json", [{ op: "test", path: "/data/b", value: "x" }])).status,
    422,
  );
  assert.deepEqual((await patch("application/strategic-merge-patch+json", { data: { d: "4" } })).body.data, {
    b: "2",
    c: "3",
    d: "4",
  });
  assert.equal((await patch("application/json", {})).body.reason, "UnsupportedMediaType");
  const stale = { metadata: { resourceVersion: "1" }, data: { e: "5" } };
  assert.equal((await patch("application/merge-patch+json", stale)).body.reason, "Conflict");
  const applied = await api.call(`${CMS}/new?fieldManager=kubectl`, {
    method: "PATCH",
    type: "application/apply-patch+yaml",
    body: cm("new", { x: "y" }),
  });
  assert.deepEqual([applied.status, applied.body.data], [201, { x: "y" }]);
});

test("the same 100 patches at once lose none", async (t) => {
  const api = await openApi(t);
  await api.call(CMS, { method: "POST", body: cm("counters") });
  const type = "application/merge-patch+json";
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      api.call(`${CMS}/counters`, { method: "PATCH", type, body: { data: { [`k${i}`]: "v" } } }),
    ),
  );
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(Object.keys((await api.call(`${CMS}/counters`)).body.data).length, 100);
});

test("admission defaults, warns and refuses with every cause", async (t) => {
  const wrong = (field: string): Problem => ({
    code: "PT-MANIFEST-9",
    severity: "error",
    reason: "FieldValueInvalid",
    field,
    message: `${field} is wrong`,
    hint: "write it right",
  });
  const api = await openApi(t, {
    admission: [
      (object, old) => {
        const spec = object.spec as { bad?: number; running?: boolean };
        if (spec?.bad !== undefined) {
          return failed(...Array.from({ length: spec.bad }, (_, i) => wrong(`spec.list[${i}]`)));
        }
        const warning: Problem = {
          ...wrong("spec.running"),
          severity: "warning",
          message: 'says "deprecated" – ü',
        };
        const value = { ...object, spec: { ...spec, seenOld: old !== undefined } };
        return ok(value, object.kind === "VirtualMachine" ? [warning] : []);
      },
    ],
  });
  const refused = await api.call(VMS, { method: "POST", body: vm("bad", { spec: { bad: 12 } }) });
  assert.deepEqual([refused.status, refused.body.reason], [422, "Invalid"]);
  assert.equal(refused.body.details.causes.length, 10);
  assert.deepEqual(refused.body.details.causes[0], {
    reason: "FieldValueInvalid",
    message: "spec.list[0] is wrong",
    field: "spec.list[0]",
    hint: "write it right",
    code: "PT-MANIFEST-9",
  });
  assert.match(refused.body.message, /^spec\.list\[0\] is wrong, .*, and 2 more validation errors$/);
  const made = await api.call(VMS, { method: "POST", body: vm("good") });
  assert.equal(made.body.spec.seenOld, false);
  assert.equal(made.warning, '299 - "says \\"deprecated\\" ? ?"');
  const replaced = await api.call(`${VMS}/good`, { method: "PUT", body: vm("good") });
  assert.equal(replaced.body.spec.seenOld, true);
});

test("a dry run answers as if, and leaves nothing", async (t) => {
  const api = await openApi(t);
  const before = api.store.revision;
  assert.equal((await api.call(`${CMS}?dryRun=All`, { method: "POST", body: cm("ghost") })).status, 201);
  assert.equal((await api.call(`${CMS}/ghost`)).status, 404);
  assert.equal((await api.call(`${CMS}?dryRun=Some`, { method: "POST", body: cm("ghost") })).status, 400);
  assert.equal(api.store.revision, before);
  await api.call(CMS, { method: "POST", body: cm("real", { a: "1" }) });
  const deleted = await api.call(`${CMS}/real`, { method: "DELETE", body: { dryRun: ["All"] } });
  assert.equal(deleted.body.status, "Success");
  assert.equal((await api.call(`${CMS}/real`)).status, 200);
});

test("tables have KubeVirt's columns, and wide ones behind them", async (t) => {
  const api = await openApi(t);
  const vmi = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "web" },
    spec: {},
  };
  const path = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances";
  await api.call(path, { method: "POST", body: vmi });
  const status = {
    phase: "Running",
    nodeName: "box",
    interfaces: [{ ipAddress: "10.88.0.5" }, { ipAddress: "192.168.1.1" }],
    conditions: [
      { type: "Ready", status: "True" },
      { type: "LiveMigratable", status: "False" },
    ],
  };
  await api.call(`${path}/web/status`, { method: "PUT", body: { ...vmi, status } });
  api.clock.advance(190_000);
  const accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  const { body } = await api.call(path, { accept });
  assert.deepEqual(
    body.columnDefinitions.map((it: Json) => `${it.name}${it.priority === 0 ? "" : "*"}`),
    ["Name", "Age", "Phase", "IP", "NodeName", "Ready", "Live-Migratable*", "Paused*"],
  );
  assert.deepEqual(body.rows[0].cells, [
    "web",
    "3m10s",
    "Running",
    "10.88.0.5",
    "box",
    "True",
    "False",
    null,
  ]);
  assert.equal(body.rows[0].object.kind, "PartialObjectMetadata");
  assert.equal((await api.call(`${path}/web`, { accept })).body.rows.length, 1);
  assert.equal((await api.call(`${path}?includeObject=None`, { accept })).body.rows[0].object, undefined);
  const metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  assert.deepEqual(Object.keys((await api.call(path, { accept: metadata })).body.items[0]), [
    "kind",
    "apiVersion",
    "metadata",
  ]);
  assert.equal((await api.call(path, { accept: "application/yaml" })).status, 406);
});

test("lists come in pages and by fields", async (t) => {
  const api = await openApi(t);
  for (let i = 0; i < 7; i++) await api.call(CMS, { method: "POST", body: cm(`c${i}`) });
  const seen: string[] = [];
  for (let path = `${CMS}?limit=3`; ; ) {
    const { body } = await api.call(path);
    seen.push(...body.items.map((it: Json) => it.metadata.name));
    if (body.metadata.continue === undefined) break;
    assert.equal(body.metadata.remainingItemCount, 7 - seen.length);
    path = `${CMS}?limit=3&continue=${body.metadata.continue}`;
  }
  assert.deepEqual(seen, ["c0", "c1", "c2", "c3", "c4", "c5", "c6"]);
  const one = await api.call(`${CMS}?fieldSelector=metadata.name%3Dc3`);
  assert.deepEqual(
    one.body.items.map((it: Json) => it.metadata.name),
    ["c3"],
  );
  const unsupported = await api.call(`${CMS}?fieldSelector=data.x%3Dc3`);
  assert.deepEqual([unsupported.status, unsupported.body.reason], [400, "BadRequest"]);
  assert.equal((await api.call(`${CMS}?labelSelector=%21%21`)).status, 400);
});

test("deletecollection deletes what the selector finds", async (t) => {
  const api = await openApi(t);
  for (const name of ["a", "b", "c"]) {
    const labelled = { ...cm(name), metadata: { name, labels: { keep: String(name === "b") } } };
    await api.call(CMS, { method: "POST", body: labelled });
  }
  const deleted = await api.call(`${CMS}?labelSelector=keep!%3Dtrue`, { method: "DELETE" });
  assert.equal(deleted.body.items.length, 2);
  assert.deepEqual(
    (await api.call(CMS)).body.items.map((it: Json) => it.metadata.name),
    ["b"],
  );
  assert.equal((await api.call("/api/v1/configmaps", { method: "DELETE" })).status, 405);
});

test("a watch begins with what there is, or resumes after a version", async (t) => {
  const api = await openApi(t);
  const first = await api.call(CMS, { method: "POST", body: cm("a") });
  await api.call(CMS, { method: "POST", body: cm("b") });
  const whole = await api.watch(`${CMS}?watch=true`);
  const since = await api.watch(`${CMS}?watch=1&resourceVersion=${first.body.metadata.resourceVersion}`);
  await api.call(`${CMS}/a`, { method: "DELETE" });
  await eventually("three events", () => whole.lines.length === 3);
  assert.deepEqual(labels(whole.lines), ["ADDED a", "ADDED b", "DELETED a"]);
  await eventually("two events", () => since.lines.length === 2);
  assert.deepEqual(labels(since.lines), ["ADDED b", "DELETED a"]);
  assert.equal(since.lines[1].object.metadata.resourceVersion, String(api.store.revision));
});

test("a watch of a version that is gone is told to list again", async (t) => {
  const api = await openApi(t, { history: 2 });
  for (const name of ["a", "b", "c", "d"]) await api.call(CMS, { method: "POST", body: cm(name) });
  const { lines, response } = await api.watch(`${CMS}?watch=true&resourceVersion=1`);
  await eventually("the error", () => lines.length === 1);
  assert.equal(lines[0].type, "ERROR");
  const { kind, code, reason, message } = lines[0].object;
  assert.deepEqual([kind, code, reason], ["Status", 410, "Expired"]);
  assert.match(message, /^too old resource version: 1 \(\d+\)$/);
  await eventually("the end", () => response.complete);
  const ahead = await api.watch(`${CMS}?watch=true&resourceVersion=999`);
  await eventually("the error", () => ahead.lines.length === 1);
  assert.equal(ahead.lines[0].object.code, 410);
  assert.equal((await api.call(`${CMS}?resourceVersion=999`)).status, 504);
});

test("bookmarks move a quiet watcher on, and mark the end of the first objects", async (t) => {
  const api = await openApi(t, { server: { bookmarkIntervalMs: 20 } });
  await api.call(CMS, { method: "POST", body: cm("a") });
  const query =
    "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const { lines } = await api.watch(`${CMS}?${query}`);
  await eventually("a bookmark", () => lines.length >= 2);
  assert.deepEqual([lines[0].type, lines[1].type], ["ADDED", "BOOKMARK"]);
  assert.equal(lines[1].object.metadata.annotations["k8s.io/initial-events-end"], "true");
  await api.call(VMS, { method: "POST", body: vm("elsewhere") });
  const latest = String(api.store.revision);
  await eventually("a bookmark of the new version", () => {
    const last = lines.at(-1);
    return last.type === "BOOKMARK" && last.object.metadata.resourceVersion === latest;
  });
});

test("a watch of tables carries columns once", async (t) => {
  const api = await openApi(t);
  const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
  const { lines } = await api.watch(`${VMS}?watch=true`, accept);
  await api.call(VMS, { method: "POST", body: vm("a") });
  await api.call(VMS, { method: "POST", body: vm("b") });
  await eventually("two rows", () => lines.length === 2);
  assert.deepEqual(
    lines.map(({ object }) => [object.kind, object.columnDefinitions.length > 0, object.rows[0].cells[0]]),
    [
      ["Table", true, "a"],
      ["Table", false, "b"],
    ],
  );
});

test("a watch ends when its time is up", async (t) => {
  const api = await openApi(t);
  const { response } = await api.watch(`${CMS}?watch=true&timeoutSeconds=1`);
  await eventually("the end", () => response.complete);
});

test("a watcher that does not read costs nothing, and learns that it fell behind", async (t) => {
  const api = await openApi(t, { history: 50 });
  const socket = connect(api.socketPath);
  t.after(() => socket.destroy());
  socket.write(`GET ${CMS}?watch=true HTTP/1.1\r\nhost: x\r\n\r\n`);
  await new Promise((resolve) => socket.once("readable", resolve));
  const big = "x".repeat(100_000);
  for (let i = 0; i < 200; i++) {
    api.cluster.objects.create({ group: "", version: "v1", plural: "configmaps", kind: "ConfigMap" }, {
      ...cm(`big${i}`, { big }),
      metadata: { name: `big${i}`, namespace: "default" },
    } as never);
    // So that the watch gets its turn, and finds the socket full.
    await new Promise(setImmediate);
  }
  const quick = await api.call(`${CMS}?limit=1`);
  assert.equal(quick.status, 200, "others are served meanwhile");
  let text = "";
  socket.setEncoding("utf8").on("data", (part) => {
    text += part;
  });
  await eventually("the error", () => text.includes('"type":"ERROR"'));
  assert.match(text, /"reason":"Expired"/);
  assert.ok(text.length < 100 * big.length, "not everything was kept for it");
});

test("bodies that are none are refused, each with its reason", async (t) => {
  const api = await openApi(t);
  const post = async (call: Call, path = CMS): Promise<readonly [number, string]> => {
    const { status, body } = await api.call(path, { method: "POST", ...call });
    assert.equal(body.kind, "Status");
    return [status, body.reason];
  };
  assert.deepEqual(await post({ text: "{" }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: "" }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: "[]" }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: "null" }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: '{"metadata":3}' }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: '{"__proto__":{"a":1}}' }), [400, "BadRequest"]);
  assert.deepEqual(await post({ text: "[".repeat(200_000) + "]".repeat(200_000) }), [400, "BadRequest"]);
  assert.deepEqual(await post({ body: vm("x") }), [400, "BadRequest"]);
  assert.deepEqual(await post({ body: { ...cm("x"), metadata: { name: "x", namespace: "other" } } }), [
    400,
    "BadRequest",
  ]);
  assert.deepEqual(await post({ body: { ...cm("x"), metadata: { name: "x", resourceVersion: "1" } } }), [
    400,
    "BadRequest",
  ]);
  assert.deepEqual(await post({ body: { ...cm("x"), metadata: { name: "x", labels: { a: 1 } } } }), [
    422,
    "Invalid",
  ]);
  assert.deepEqual(await post({ body: { ...cm("x"), metadata: { name: { a: 1 } } } }), [422, "Invalid"]);
  assert.deepEqual(await post({ text: "a: b", type: "application/yaml" }), [415, "UnsupportedMediaType"]);
  assert.deepEqual(await post({ text: "k8s\0\xff\xff", type: "application/vnd.kubernetes.protobuf" }), [
    400,
    "BadRequest",
  ]);
  const big = cm("big", { big: "x".repeat(3 << 20) });
  assert.deepEqual(await post({ body: big }), [413, "RequestEntityTooLarge"]);
  assert.equal((await api.call(CMS)).body.items.length, 0);
});

test("paths that are none are refused; nothing steps out of its place", async (t) => {
  const api = await openApi(t);
  await api.call(CMS, { method: "POST", body: cm("secret") });
  const expected: readonly (readonly [string, number])[] = [
    [`${CMS}/..%2Fconfigmaps%2Fsecret`, 400],
    ["/api/v1/namespaces/default/pods/../configmaps/secret", 400],
    ["/api/v1/namespaces/%2e%2e/configmaps", 400],
    [`${CMS}/a%00b`, 400],
    [`${CMS}/%zz`, 400],
    [`${CMS}/${"a".repeat(300)}`, 404],
    ["/api/v1/configmaps/secret", 404],
    ["/api/v1/namespaces/default/nodes", 404],
    [`${CMS}/secret/status`, 404],
    [`${CMS}/secret/scale`, 404],
    ["/apis", 200],
    ["/nope", 404],
    ["/", 404],
    [`${CMS}?watch=true&resourceVersion=abc`, 400],
  ];
  for (const [path, status] of expected) assert.equal((await api.call(path)).status, status, path);
  assert.equal((await api.call(CMS, { method: "PUT", body: cm("x") })).status, 405);
  assert.equal((await api.call("/api/v1/configmaps", { method: "POST", body: cm("x") })).status, 405);
  assert.equal((await api.call("/version", { method: "POST", body: {} })).status, 404);
});

test("HTTP that is none is answered as far as it goes, and does not hurt the server", async (t) => {
  const api = await openApi(t);
  const answerTo = (bytes: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(api.socketPath);
      let text = "";
      socket.setEncoding("utf8").on("data", (part) => {
        text += part;
      });
      socket.on("error", () => undefined);
      socket.once("close", () => resolve(text));
      socket.end(bytes);
    });
  for (const bytes of ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\0".repeat(100)]) {
    assert.match(await answerTo(bytes), /^HTTP\/1\.1 400 [\s\S]*"kind":"Status"/, JSON.stringify(bytes));
  }
  const tooMuch = `GET / HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(100_000)}\r\n\r\n`;
  assert.match(await answerTo(tooMuch), /^HTTP\/1\.1 431 [\s\S]*"kind":"Status"/);
  await answerTo(`GET ${CMS} HTTP/1.1\r\n`);
  assert.equal((await api.call("/healthz")).status, 200);
});

test("who may not speak is told who is asking and what to do", async (t) => {
  let peer = { pid: 1, uid: 1000, gid: 1000 };
  const access = { uids: [1001], gids: [27] };
  const api = await openApi(t, { server: { peerCredentials: () => peer, access } });
  const refused = await api.call(CMS);
  assert.deepEqual([refused.status, refused.body.reason], [403, "Forbidden"]);
  assert.match(refused.body.message, /uid 1000 \(gid 1000\).*sudo/);
  assert.equal((await api.call("/healthz")).status, 403);
  for (const allowed of [
    { pid: 1, uid: 0, gid: 0 },
    { pid: 1, uid: 1001, gid: 1000 },
    { pid: 1, uid: 1000, gid: 27 },
    { pid: 1, uid: 1000, gid: 1000, groups: [4, 27] },
    { pid: 1, uid: process.getuid?.() ?? -1, gid: 1 },
  ]) {
    peer = allowed;
    assert.equal((await api.call(CMS)).status, 200);
  }
});

test("a peer that the kernel does not name is refused", async (t) => {
  const errors: unknown[] = [];
  const peerCredentials = (): never => {
    throw new Error("getsockopt: no");
  };
  const api = await openApi(t, { server: { peerCredentials, onError: (thrown) => errors.push(thrown) } });
  assert.equal((await api.call(CMS)).status, 403);
  assert.equal(errors.length, 1);
});

test("routes of others are asked first, and their errors become Status", async (t) => {
  const api = await openApi(t, {
    server: {
      routes: [
        {
          match: (method, [root, what]) =>
            root !== "podtap"
              ? undefined
              : {
                  serve: ({ response, query, peer }) => {
                    if (what === "boom") throw new Error("it broke");
                    response.end(`${method} ${query.get("q")} ${peer.uid}`);
                  },
                },
        },
      ],
    },
  });
  assert.equal((await api.call("/podtap/v1?q=a%20b")).body, "GET a b 0");
  const broken = await api.call("/podtap/boom");
  assert.deepEqual(
    [broken.status, broken.body.reason, broken.body.message],
    [500, "InternalError", "it broke"],
  );
  assert.equal((await api.call(CMS)).status, 200);
});

test("an upgraded connection is the handler's: bytes both ways, also those sent early", async (t) => {
  const api = await openApi(t, {
    server: {
      routes: [
        {
          match: (_method, [root]) =>
            root !== "echo"
              ? undefined
              : {
                  stream: ({ accept, query, protocol }) => {
                    if (query.has("refuse")) throw Object.assign(new Error("no"), { protocol });
                    const socket = accept();
                    socket.pipe(socket);
                  },
                },
        },
      ],
    },
  });
  const upgrade = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(api.socketPath);
      let text = "";
      socket.setEncoding("utf8").on("data", (part) => {
        text += part;
        if (text.endsWith("early late")) socket.end();
        else if (text.endsWith("early")) socket.write(" late");
      });
      socket.once("close", () => resolve(text));
      socket.once("error", reject);
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: podtap-stream\r\n\r\nearly`,
      );
    });
  assert.match(await upgrade("/echo"), /^HTTP\/1\.1 101 [\s\S]*upgrade: podtap-stream\r\n\r\nearly late$/);
  assert.match(await upgrade("/echo?refuse"), /^HTTP\/1\.1 500 [\s\S]*"kind":"Status"/);
  assert.match(await upgrade("/nope"), /^HTTP\/1\.1 404 [\s\S]*"reason":"NotFound"/);
  assert.match(await upgrade("/echo/..%2f"), /^HTTP\/1\.1 400 /);
  assert.equal((await api.call("/echo")).status, 400, "without an upgrade");
});

test("a socket left by a dead daemon is replaced, and closing ends every watch", async (t) => {
  const api = await openApi(t);
  const { lines, response } = await api.watch(`${CMS}?watch=true`);
  await api.call(CMS, { method: "POST", body: cm("a") });
  await eventually("an event", () => lines.length === 1);
  const second = await api.serve({ socketPath: api.socketPath });
  assert.equal((await api.call("/healthz")).status, 200);
  await second.close();
  await api.close();
  await eventually("the end", () => response.destroyed || response.complete);
});
