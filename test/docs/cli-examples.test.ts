/**
 * Every manifest of examples/ validates and plans, offline, as a user would do it. The plans are golden:
 * PODTAP_UPDATE_GOLDEN=1 rewrites them.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCli } from "../support/run-cli.ts";

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));
const golden = new URL("cli-plans/", import.meta.url);
const manifests = readdirSync(examples).filter((name) => name.endsWith(".yaml"));

test("there are examples", () => assert.ok(manifests.length >= 7));

for (const name of manifests) {
  test(`examples/${name} validates and plans`, async () => {
    const valid = await runCli(["validate", `${examples}${name}`]);
    assert.equal(valid.code, 0, valid.out);
    const plan = await runCli(["plan", `${examples}${name}`]);
    assert.equal(plan.code, 0, plan.err);
    assert.match(plan.err, /EXAMPLE/, "what it was planned for is said");
    const file = new URL(`${name.replace(".yaml", "")}.txt`, golden);
    if (process.env["PODTAP_UPDATE_GOLDEN"]) {
      mkdirSync(golden, { recursive: true });
      writeFileSync(file, plan.out);
    }
    assert.equal(plan.out, readFileSync(file, "utf8"));
  });
}

for (const name of manifests) {
  test(`examples/${name} leads to a domain, offline`, async () => {
    const { code, out, err } = await runCli(["dumpxml", "-f", `${examples}${name}`]);
    assert.equal(code, 0, err);
    assert.match(err, /EXAMPLES/);
    assert.match(out, /<target dev="tap0" managed="no"\/>|<qemu:property name="netdev"/);
    assert.match(out, /<memory unit="b">268435456<\/memory>/);
  });
}

test("plan against a recorded namespace: what plan -o json prints can be given back", async () => {
  const file = `${examples}vm-masquerade.yaml`;
  const json = await runCli(["plan", file, "-o", "json"]);
  const { observed, resolver } = JSON.parse(json.out);
  const folder = mkdtempSync(join(tmpdir(), "podtap-observed-"));
  const recorded = join(folder, "observed.json");
  writeFileSync(recorded, JSON.stringify({ observed, resolver }));
  try {
    const again = await runCli(["plan", "-f", file, "--observed", recorded, "--exit-code"]);
    assert.equal(again.code, 2, "an empty namespace differs");
    assert.equal(again.out, (await runCli(["plan", file])).out);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("validate names every problem with its place, and fails", async () => {
  const { code, out } = await runCli([
    "validate",
    fileURLToPath(new URL("cli-broken.yaml", import.meta.url)),
  ]);
  assert.equal(code, 1);
  assert.match(out, /cli-broken\.yaml:\d+:\d+ {2}error/);
  assert.match(out, /not valid \(1 object\)\n$/);
  const json = await runCli([
    "validate",
    "-o",
    "json",
    fileURLToPath(new URL("cli-broken.yaml", import.meta.url)),
  ]);
  const report = JSON.parse(json.out);
  assert.equal(report.valid, false);
  assert.ok(report.problems.length >= 2, "all problems at once");
});

test("warnings fail only with --strict", async () => {
  const file = `${examples}vmi-kernel-boot.yaml`;
  assert.equal((await runCli(["validate", file])).code, 0);
  assert.equal((await runCli(["validate", "--strict", file])).code, 1);
});
