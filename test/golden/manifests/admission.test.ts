/** KubeVirt's admission, both ways: every rule of the table for a VirtualMachineInstance and for a VirtualMachine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Settings } from "../../../src/api/settings.ts";
import { validateManifests } from "../../../src/api/validate.ts";
import { isError, type Problem } from "../../../src/base/problem.ts";
import { KNOWN_BINDINGS } from "../../../src/bindings/admission.ts";
import { DEFAULT_SETTINGS } from "../../../src/bindings/settings.ts";
import {
  DISCONTINUED_CASES,
  type Fragment,
  NETWORK_RULE_CASES,
  RELATED_CASES,
  type RuleCase,
} from "./admission-table.ts";

/** Every binding there: the table is about admission, not about what podtap wires today. */
const EVERYTHING: Settings = {
  ...DEFAULT_SETTINGS,
  bindings: KNOWN_BINDINGS.map(({ method }) => method),
  plugins: ["p"],
};
const FORMS = {
  VirtualMachineInstance: { spec: "spec", metadata: "metadata" },
  VirtualMachine: { spec: "spec.template.spec", metadata: "spec.template.metadata" },
} as const;
type Kind = keyof typeof FORMS;

function manifest(kind: Kind, { n, i, s, d, m }: Fragment): string {
  const disks = s?.includes("volumes:") === true ? "[{name: ci, disk: {bus: virtio}}]" : "[]";
  const devices = `{disks: ${disks}${i === undefined ? "" : `, interfaces: ${i}`}}`;
  const domain = `{memory: {guest: 128Mi}, devices: ${devices}${d === undefined || d === "" ? "" : `, ${d}`}}`;
  const spec = `{domain: ${domain}${n === undefined ? "" : `, networks: ${n}`}${s === undefined ? "" : `, ${s}`}}`;
  const head = `apiVersion: kubevirt.io/v1\nkind: ${kind}\n`;
  return kind === "VirtualMachine"
    ? `${head}metadata: {name: vm}\nspec: {runStrategy: Always, template: {metadata: {${m ?? ""}}, spec: ${spec}}}\n`
    : `${head}metadata: {name: vm${m === undefined ? "" : `, ${m}`}}\nspec: ${spec}\n`;
}

function problemsOf(kind: Kind, fragment: Fragment): readonly Problem[] {
  const settings = { ...EVERYTHING, ...fragment.settings };
  return validateManifests([{ name: "vm.yaml", text: manifest(kind, fragment) }], settings).problems;
}

function expand(text: string, kind: Kind): string {
  const { spec, metadata } = FORMS[kind];
  return text
    .replaceAll("{P}", spec)
    .replaceAll("{M}", metadata)
    .replace(/^P(?=$|[.[])/, spec)
    .replace(/^M(?=\.)/, metadata);
}

function checkCase({ code, accepted, rejected }: RuleCase, kind: Kind): void {
  for (const fragment of accepted) {
    const errors = problemsOf(kind, fragment).filter(isError);
    assert.deepEqual(errors, [], `accepted: ${manifest(kind, fragment)}`);
  }
  for (const { field, reason = "FieldValueInvalid", message, ...fragment } of rejected) {
    const problems = problemsOf(kind, fragment);
    const found = problems.filter((problem) => problem.code === code);
    const where = `rejected: ${manifest(kind, fragment)}\nsaid: ${JSON.stringify(problems, null, 1)}`;
    assert.equal(found.length, 1, where);
    const { severity, field: f, reason: r, message: m, hint, at } = found[0]!;
    const expected = { severity: "error", f: expand(field, kind), r: reason, m: expand(message, kind) };
    assert.deepEqual({ severity, f, r, m }, expected, where);
    assert.ok(hint !== undefined && hint.length > 5, where);
    assert.ok(at !== undefined && at.line >= 3, where);
  }
}

for (const kind of Object.keys(FORMS) as Kind[]) {
  for (const rule of [...NETWORK_RULE_CASES, ...DISCONTINUED_CASES, ...RELATED_CASES]) {
    test(`${rule.code} for a ${kind}`, () => checkCase(rule, kind));
  }
}

test("the table has every rule that admission of one object can ask", () => {
  const codes = new Set(
    [...NETWORK_RULE_CASES, ...DISCONTINUED_CASES, ...RELATED_CASES].map(({ code }) => code),
  );
  for (let rule = 1; rule <= 49; rule++) assert.ok(codes.has(`PT-NET-${rule}`), `PT-NET-${rule}`);
  for (let rule = 1; rule <= 4; rule++) assert.ok(codes.has(`PT-C-${rule}`), `PT-C-${rule}`);
  // R11 is about a VM alone (vm.test.ts), R12 about migrations, which podtap does not have.
  for (const rule of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14])
    assert.ok(codes.has(`PT-REL-${rule}`), `PT-REL-${rule}`);
});

test("every problem is said once", () => {
  const fragment = { n: "[{name: a.b, pod: {}}]", i: "[{name: a.b}]" };
  const errors = problemsOf("VirtualMachineInstance", fragment).filter(isError);
  assert.deepEqual(
    errors.map(({ code, field }) => [code, field]),
    [
      ["PT-NET-11", "spec.domain.devices.interfaces[0]"],
      ["PT-NET-28", "spec.domain.devices.interfaces[0].name"],
    ],
  );
});

test("old spellings run in podtap, with today's spelling named", () => {
  const fragment = { n: "[{name: a, pod: {}}]", i: "[{name: a, passt: {}, ports: [{port: 80}]}]" };
  const problems = problemsOf("VirtualMachine", fragment);
  assert.deepEqual(
    problems.map(({ code, severity, hint }) => [code, severity, hint]),
    [["PT-C-2", "warning", "Write `passtBinding: {}` instead."]],
  );
});
