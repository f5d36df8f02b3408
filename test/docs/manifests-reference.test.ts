/** docs/reference/manifests.md names every field that podtap acts on. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ACTED_ON } from "../../src/api/acted-on.ts";
import { fieldTable } from "../../src/api/field-table.ts";
import { KNOWN_BINDINGS } from "../../src/bindings/admission.ts";

const { fieldsOf } = fieldTable(KNOWN_BINDINGS);
const page = readFileSync(new URL("../../docs/reference/manifests.md", import.meta.url), "utf8");
const words = new Set([...page.matchAll(/`([^`]+)`/g)].flatMap((match) => (match[1] ?? "").split(/[^\w]+/)));
/** Whole, for names with dashes. */
const text = new Set([...page.matchAll(/`([^`]+)`/g)].flatMap((match) => (match[1] ?? "").split(/[^\w-]+/)));

for (const [type, names] of Object.entries(ACTED_ON)) {
  test(`${type}: its fields exist, and are documented`, () => {
    for (const name of names.split(" ")) {
      assert.ok(fieldsOf(type)?.has(name), `KubeVirt's ${type} has no field ${name}`);
      assert.ok(words.has(name), `docs/reference/manifests.md does not name ${name}`);
    }
  });
}

test("Interface: every method key is documented", () => {
  for (const { method, old, names = [], ownFields = {} } of KNOWN_BINDINGS) {
    const keys = [method, ...(old === undefined ? [] : [old.key]), ...names, ...Object.keys(ownFields)];
    for (const key of keys) assert.ok(text.has(key), `docs/reference/manifests.md does not name ${key}`);
  }
});
