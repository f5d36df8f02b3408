/** Whatever is in a manifest, validation answers with a list. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { effectiveVmiSpec, vcpuCount } from "../../../src/api/defaults.ts";
import { formatProblems, toStatusCauses } from "../../../src/api/format-problems.ts";
import { launcherLabels } from "../../../src/api/launcher-labels.ts";
import type { Vmi } from "../../../src/api/types.ts";
import { admitObject, hasErrors, validateManifests, validateObject } from "../../../src/api/validate.ts";
import { readYaml } from "../../../src/api/yaml-source.ts";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "../../../src/bindings/settings.ts";

const RUNS = 300;
const textsOf = (folder: string): readonly string[] => {
  const url = new URL(`${folder}/`, import.meta.url);
  return readdirSync(url).map((file) => readFileSync(new URL(file, url), "utf8"));
};
const texts = ["seed", "kubevirt", "found"].flatMap(textsOf);
/** Files whose objects need each other. */
const files = textsOf("found").map((text) => readYaml(text).documents.map(({ value }) => value));
const objects = ["seed", "kubevirt"].flatMap(textsOf).flatMap((text) => {
  const value = parse(text.split("\n---\n")[0] ?? "");
  return value?.kind === "VirtualMachine" || value?.kind === "VirtualMachineInstance"
    ? [value as object]
    : [];
});
/** What a user or an attacker may put where something else belongs. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    "",
    0,
    -1,
    1e30,
    true,
    [],
    {},
    [null],
    [[]],
    [{}],
    "a\u0000b",
    "x".repeat(300),
    "02:00:00:00:00:00",
    "10.0.2.0/24",
    "-",
  ),
  fc.anything({
    maxDepth: 2,
    key: fc.constantFrom("name", "pod", "port", "__proto__", "constructor", "length"),
  }),
);

function check(value: unknown): void {
  for (const settings of [DEFAULT_SETTINGS, STRICT_SETTINGS]) {
    const problems = validateObject(value, settings);
    for (const { hint, code, message } of problems) {
      assert.ok(hint !== undefined && hint !== "" && message !== "", code);
    }
    formatProblems(problems, { color: true });
    toStatusCauses(problems);
  }
}

test("random JSON trees", () => {
  fc.assert(
    fc.property(
      fc.anything(),
      fc.constantFrom("VirtualMachine", "VirtualMachineInstance", "Service", "Secret"),
      (value, kind) => {
        check(value);
        check({
          apiVersion: kind.startsWith("V") ? "kubevirt.io/v1" : "v1",
          kind,
          metadata: { name: "x" },
          spec: value,
        });
        check({ apiVersion: "kubevirt.io/v1", kind, metadata: value, spec: { domain: { devices: value } } });
      },
    ),
    { numRuns: RUNS },
  );
});

test("good manifests with one value exchanged, and what is still good can be defaulted", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...objects),
      fc.array(fc.nat(9), { maxLength: 9 }),
      odd,
      (object, turns, value) => {
        const mutated = replaceAt(structuredClone(object), turns, value);
        check(mutated);
        const { object: admitted, problems } = admitObject(mutated, DEFAULT_SETTINGS);
        if (hasErrors(problems) || admitted?.kind !== "VirtualMachineInstance") return;
        const { spec } = admitted as Vmi;
        assert.ok(effectiveVmiSpec(spec, DEFAULT_SETTINGS).domain.machine);
        assert.ok(vcpuCount(spec) >= 1);
        assert.ok(launcherLabels(admitted as Vmi)["vm.kubevirt.io/name"]);
      },
    ),
    { numRuns: RUNS },
  );
});

test("files whose objects need each other, with values exchanged", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.array(fc.nat(9), { minLength: 1, maxLength: 9 }), odd), {
        minLength: 1,
        maxLength: 3,
      }),
      (file, changes) => {
        const items = changes.reduce<object>(
          (list, [turns, value]) => replaceAt(list, turns, structuredClone(value)),
          structuredClone(file),
        );
        const text = JSON.stringify({ apiVersion: "v1", kind: "List", items });
        formatProblems(validateManifests([{ name: "f", text }], DEFAULT_SETTINGS).problems, { color: false });
      },
    ),
    { numRuns: RUNS / 2 },
  );
});

test("good files with bytes exchanged", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.nat(2000),
      fc.nat(20),
      fc.constantFrom("", ":", "-", "  ", "\n", "{", "}", "[", '"', "&a ", "*a", "\t", "#", "|", "0", "~"),
      (text, at, length, piece) => {
        const place = at % text.length;
        const mutated = text.slice(0, place) + piece + text.slice(place + length);
        for (const problem of validateManifests([{ name: "f", text: mutated }], DEFAULT_SETTINGS).problems) {
          assert.ok((problem.at?.line ?? 0) >= 1 && (problem.at?.column ?? 0) >= 1, problem.code);
        }
      },
    ),
    { numRuns: RUNS },
  );
});

/** Walks down as the turns say, and puts the value there. */
function replaceAt(root: object, turns: readonly number[], value: unknown): object {
  let owner = root as Record<string, unknown>;
  for (const turn of turns) {
    const keys = Object.keys(owner);
    const key = keys[turn % Math.max(1, keys.length)];
    if (key === undefined) return root;
    const inner = owner[key];
    if (typeof inner !== "object" || inner === null) {
      owner[key] = value;
      return root;
    }
    owner = inner as Record<string, unknown>;
  }
  const key = Object.keys(owner)[0];
  if (key !== undefined) owner[key] = value;
  return root;
}
