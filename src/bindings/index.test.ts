/** Every binding that is wired is one that manifests can ask for, and says the same of itself in both places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { methodFields, namesOf } from "../api/binding-admission.ts";
import { KNOWN_BINDINGS } from "./admission.ts";
import { registry, WIRED_METHODS } from "./index.ts";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "./settings.ts";

for (const binding of registry.all) {
  test(`${binding.bindingName}: its admission agrees with it`, () => {
    const known = KNOWN_BINDINGS.filter(
      (admission) => registry.of({ name: "a", ...methodFields(admission) }) === binding,
    );
    assert.equal(known.length, 1);
    const [admission] = known;
    assert.deepEqual(binding.spelling, methodFields(admission!));
    assert.equal(binding.traits.networks, admission!.networks);
    assert.equal(binding.traits.ports, admission!.ports);
    const { old, names = [] } = admission!;
    if (old !== undefined) assert.equal(registry.of({ name: "a", [old.key]: {} }), binding);
    for (const name of names) assert.equal(registry.of({ name: "a", binding: { name } }), binding);
  });
}

test("method keys and names are each one binding's", () => {
  const methods = KNOWN_BINDINGS.map(({ method }) => method);
  assert.equal(new Set(methods).size, methods.length);
  const names = KNOWN_BINDINGS.flatMap(namesOf);
  assert.equal(new Set(names).size, names.length);
  assert.equal(new Set(WIRED_METHODS).size, registry.all.length);
});

test("the default NIC is of a binding there is; podtap's own of one that is wired", () => {
  assert.ok(WIRED_METHODS.includes(DEFAULT_SETTINGS.defaultBinding));
  assert.ok(KNOWN_BINDINGS.some(({ method }) => method === STRICT_SETTINGS.defaultBinding));
});

test("an interface that asks for nothing known has no binding", () => {
  assert.equal(registry.of({ name: "a" }), undefined);
  assert.equal(registry.of({ name: "a", binding: { name: "somebody's" } }), undefined);
});
