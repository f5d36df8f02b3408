import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig, readConfig } from "./config.ts";

test("an empty file means the defaults, a key replaces its default", () => {
  assert.equal(parseConfig("", "f").inbound, "declared");
  assert.equal(parseConfig("inbound: all\nallowedUids: [1000]\n", "f").inbound, "all");
});

test("what is not understood is refused by name", () => {
  assert.throws(() => parseConfig("inbuond: all\n", "f"), /f: unknown key inbuond; known: /);
  assert.throws(() => parseConfig("inbound: some\n", "f"), /inbound must be declared or all/);
  assert.throws(() => parseConfig("allowedUids: [-1]\n", "f"), /allowedUids must be/);
  assert.throws(() => parseConfig("- a\n", "f"), /must be a map/);
  assert.throws(() => parseConfig("a: [\n", "f"), /^PodtapError: f: /);
  assert.throws(() => parseConfig("toString: 1\n", "f"), /unknown key toString/);
  assert.throws(() => readConfig("/does/not/exist.yaml"), /ENOENT/);
});
