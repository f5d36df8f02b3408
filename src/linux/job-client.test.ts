import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ManifestError, PodtapError } from "../base/errors.ts";
import { inlineJobs, startJobs, workerEntry } from "./job-client.ts";
import { inlineNetClient, startNetWorker } from "./net-client.ts";
import { fromWireError, toWireError } from "./worker-error.ts";

test("the network worker starts from source and answers in order of calls", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podtap-jobs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "plain-file"), "");
  const net = startNetWorker();
  t.after(() => net.close());
  assert.deepEqual(await Promise.all([net.listNetns(folder), net.listNetns("/no/such/folder")]), [[], []]);
});

test("an error keeps its code and hint across the border", async (t) => {
  const net = startNetWorker();
  t.after(() => net.close());
  await assert.rejects(net.observe("/no/such/netns", []), (thrown: unknown) => {
    assert.ok(thrown instanceof PodtapError);
    assert.equal(thrown.code, "PT-KERNEL-2");
    assert.match(thrown.message, /cannot open the network namespace \/no\/such\/netns/);
    assert.equal(thrown.blame, "host");
    assert.match(thrown.stack ?? "", /netns\.ts/);
    return true;
  });
});

test("a job that is not there is an error, an inherited name too", async (t) => {
  const net = startNetWorker();
  t.after(() => net.close());
  for (const op of ["nothing", "toString", "__proto__"]) {
    await assert.rejects(net.call(op as "listNetns", { folder: "/" }), { code: "PT-WORKER-4" });
  }
});

test("the inline client runs the same jobs", async () => {
  const net = inlineNetClient();
  assert.deepEqual(await net.listNetns("/no/such/folder"), []);
  await assert.rejects(net.observe("/no/such/netns", []), { code: "PT-KERNEL-2" });
  const jobs = inlineJobs({ twice: (n: number) => n * 2 });
  assert.equal(await jobs.call("twice", 21), 42);
});

test("calls end when the worker dies, and the next one starts a new worker", async (t) => {
  const jobs = startJobs<typeof mortal>(fixture(t, MORTAL));
  t.after(() => jobs.close());
  assert.equal(await jobs.call("add", 1), 1);
  assert.equal(await jobs.call("add", 1), 2);
  await assert.rejects(Promise.all([jobs.call("hang", 0), jobs.call("die", 7)]), {
    code: "PT-WORKER-1",
    message: /ended with code 7/,
  });
  assert.equal(await jobs.call("add", 1), 1);
});

test("a closed client rejects what is under way and what comes", async (t) => {
  const jobs = startJobs<typeof mortal>(fixture(t, MORTAL));
  const hanging = assert.rejects(jobs.call("hang", 0), { code: "PT-WORKER-1", message: /closed/ });
  await jobs.close();
  await hanging;
  await assert.rejects(jobs.call("add", 1), { code: "PT-WORKER-1" });
});

test("a worker's entry is found from source and from a bundle", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podtap-entry-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "dist", "net-worker.js"), "");
  const chunk = pathToFileURL(join(folder, "dist", "chunk-ABC.js")).href;
  assert.match(workerEntry("net-worker", chunk).href, /dist\/net-worker\.js$/);
  assert.match(workerEntry("net-worker", import.meta.url).href, /src\/linux\/net-worker\.ts$/);
  assert.throws(() => workerEntry("other", chunk), { code: "PT-WORKER-5", message: /no other\.js beside/ });
});

test("errors survive the wire with cause and problems", () => {
  const error = new PodtapError({
    code: "PT-APPLY-1",
    message: "step failed",
    hint: "try",
    retry: "soon",
    blame: "cluster",
    cause: new PodtapError({ code: "PT-KERNEL-16", message: "busy" }),
  });
  const back = fromWireError(structuredClone(toWireError(error)));
  assert.deepEqual(
    [back.code, back.message, back.hint, back.retry, back.blame, back.stack],
    [error.code, error.message, error.hint, error.retry, error.blame, error.stack],
  );
  assert.equal((back.cause as PodtapError).code, "PT-KERNEL-16");
  const manifest = new ManifestError([
    { code: "PT-API-1", severity: "error", reason: "FieldValueInvalid", field: "spec", message: "bad" },
  ]);
  const problems = fromWireError(structuredClone(toWireError(manifest)));
  assert.ok(problems instanceof ManifestError);
  assert.deepEqual(problems.problems, manifest.problems);
  assert.equal(toWireError(new TypeError("x is not a function")).code, "PT-WORKER-2");
  assert.equal(toWireError("thrown text").message, "thrown text");
});

const mortal = {
  add: (_n: number): number => 0,
  hang: (_n: number): Promise<never> => new Promise(() => undefined),
  die: (_code: number): void => undefined,
};
const MORTAL = `
let sum = 0;
serveJobs({
  add: (n) => (sum += n),
  hang: () => new Promise(() => {}),
  die: (code) => process.exit(code),
});`;

function fixture(t: { after(run: () => void): void }, body: string): URL {
  const folder = mkdtempSync(join(tmpdir(), "podtap-worker-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "worker.mjs");
  const server = new URL("./job-server.ts", import.meta.url).href;
  writeFileSync(file, `import { serveJobs } from ${JSON.stringify(server)};\n${body}`);
  return pathToFileURL(file);
}
