import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Problem } from "../base/problem.ts";
import { KNOWN_BINDINGS } from "../bindings/admission.ts";
import { type Loaded, loadManifests as loadWith, type ManifestFile } from "./load.ts";

function loadManifests(files: readonly ManifestFile[]): Loaded {
  return loadWith(files, KNOWN_BINDINGS);
}

const HEAD = "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata:\n  name: vm\n";
/** A VMI whose spec has these lines, indented by two; line 5 is `spec:`. */
function vmi(...lines: readonly string[]): string {
  return `${HEAD}spec:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
const DOMAIN = ["domain:", "  memory: {guest: 1Gi}", "  devices: {}"];

function load(text: string): readonly Problem[] {
  return loadManifests([{ name: "f.yaml", text }]).problems;
}

function brief(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ at, code, severity, field }) =>
    `${at?.line}:${at?.column} ${severity} ${code} ${field}`.trim(),
  );
}

test("a good manifest is an object and nothing else", () => {
  const { objects, problems } = loadManifests([{ name: "f.yaml", text: vmi(...DOMAIN) }]);
  assert.deepEqual(problems, []);
  assert.deepEqual(objects[0]?.object, {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "vm" },
    spec: { domain: { memory: { guest: "1Gi" }, devices: {} } },
  });
  assert.deepEqual(objects[0]?.locate(["spec", "domain", "memory", "guest"]), { line: 7, column: 14 });
  assert.deepEqual(
    objects[0]?.locate(["spec", "domain", "cpu", "cores"]),
    { line: 6, column: 3 },
    "the parent",
  );
});

test("several documents, JSON, lists and empty documents", () => {
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "s" },
    spec: { ports: [{ port: 80 }] },
  };
  const list = { apiVersion: "v1", kind: "List", items: [service, service] };
  const kinds = (text: string): readonly string[] =>
    loadManifests([{ name: "f", text }]).objects.map(({ object }) => object.kind);
  assert.deepEqual(kinds(JSON.stringify(service)), ["Service"]);
  assert.deepEqual(
    kinds(JSON.stringify(list, null, "\t")),
    ["Service", "Service"],
    "JSON may be indented with tabs",
  );
  assert.deepEqual(kinds(`---\n${vmi(...DOMAIN)}---\n\n---\n# nothing\n---\n${JSON.stringify(service)}`), [
    "VirtualMachineInstance",
    "Service",
  ]);
  assert.deepEqual(kinds(""), []);
  const broken = loadManifests([
    { name: "f", text: JSON.stringify({ ...list, items: [{ ...service, speck: 1 }] }) },
  ]);
  assert.equal(broken.problems[0]?.field, "speck");
  assert.equal(broken.problems[0]?.object, "Service/s");
});

test("typing mistakes are named with the right word, and cost one problem each", () => {
  const text = vmi(
    ...DOMAIN.slice(0, 2),
    "  devices:",
    "    interfaces:",
    "    - name: a",
    "      masqurade: {}",
    "      macadress: 02:00:00:00:00:01",
    "networks:",
    "- {name: a, pod: {}}",
    "tolerationz: []",
  );
  const problems = load(text);
  assert.deepEqual(brief(problems), [
    "11:9 error PT-MAN-10 spec.domain.devices.interfaces[0].masqurade",
    "12:9 error PT-MAN-10 spec.domain.devices.interfaces[0].macadress",
    "15:3 error PT-MAN-10 spec.tolerationz",
    "15:3 warning PT-MAN-24 spec.tolerationz",
  ]);
  assert.deepEqual(
    problems.slice(0, 3).map(({ hint }) => hint),
    ["Did you mean `masquerade`?", "Did you mean `macAddress`?", "Did you mean `tolerations`?"],
  );
});

test("a field in the wrong place is told its place", () => {
  const [problem] = load(vmi(...DOMAIN, "interfaces: []"));
  assert.equal(problem?.code, "PT-MAN-10");
  assert.equal(
    problem?.hint,
    "`interfaces` belongs at spec.domain.devices.interfaces: check the indentation.",
  );
});

test("types are Kubernetes'", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["hostname: 5", "PT-MAN-11"],
    ["terminationGracePeriodSeconds: '5'", "PT-MAN-11"],
    ["terminationGracePeriodSeconds: 5.5", "PT-MAN-11"],
    ["terminationGracePeriodSeconds: 1e30", "PT-MAN-11"],
    ["networks: {}", "PT-MAN-11"],
    ["networks: [x]", "PT-MAN-11"],
    ["dnsConfig: []", "PT-MAN-11"],
    ["nodeSelector: {a: true}", "PT-MAN-11"],
    ["volumes: [{name: e, emptyDisk: {capacity: 5 gigs}}]", "PT-MAN-21"],
    ["networks: [{pod: {}}]", "PT-MAN-12"],
    ['hostname: "a\\0b"', "PT-MAN-16"],
    [`networks: [${"{name: a}, ".repeat(257)}]`, "PT-MAN-17"],
    ["networks: [{name: a, pod: }]", "PT-MAN-14"],
  ];
  for (const [line, code] of cases) {
    const codes = load(vmi(...DOMAIN, line)).map((problem) => problem.code);
    assert.ok(codes.includes(code as Problem["code"]), `${line.slice(0, 60)}: ${codes}`);
  }
  assert.deepEqual(load(vmi(...DOMAIN, "terminationGracePeriodSeconds: 5.0")), [], "5.0 is whole");
});

test("YAML 1.1's booleans: taken where a boolean is wanted, warned of where text is", () => {
  const running =
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: vm}\nspec:\n  running: yes\n";
  const { objects } = loadManifests([{ name: "f", text: running }]);
  assert.equal((objects[0]!.object.spec as { running: unknown }).running, true);
  assert.deepEqual(brief(load(vmi(...DOMAIN, "hostname: on"))), ["9:3 warning PT-MAN-15 spec.hostname"]);
  assert.deepEqual(load(vmi(...DOMAIN, 'hostname: "on"')), []);
});

test("fields KubeVirt has and podtap does not act on are named once", () => {
  const text = vmi(
    "domain:",
    "  memory: {guest: 1Gi, hugepages: {pageSize: 2Mi}}",
    "  devices:",
    "    interfaces: [{name: a, masquerade: {}, tag: x}, {name: b, bridge: {}, tag: z}]",
    "    disks: [{name: d, io: native}, {name: e, io: threads}]",
    "readinessProbe: {httpGet: {port: web, path: /}}",
  );
  assert.deepEqual(brief(load(text)), [
    "7:26 warning PT-MAN-13 spec.domain.memory.hugepages",
    "9:46 warning PT-MAN-13 spec.domain.devices.interfaces[0].tag",
    "10:25 warning PT-MAN-13 spec.domain.devices.disks[0].io",
    "11:3 warning PT-MAN-13 spec.readinessProbe",
  ]);
});

test("kinds: known, not acted on, unknown, of the wrong version", () => {
  const judge = (apiVersion: string, kind: string): string => {
    const [problem] = load(
      JSON.stringify({ apiVersion, kind, metadata: { name: "x" }, data: {}, spec: { ports: [] } }),
    );
    return problem === undefined
      ? "ok"
      : `${problem.severity} ${problem.code} ${problem.field}: ${problem.hint}`;
  };
  assert.equal(judge("v1", "ConfigMap").startsWith("error PT-MAN-10 spec"), true);
  assert.equal(
    judge("instancetype.kubevirt.io/v1beta1", "VirtualMachinePreference").includes("PT-MAN-9"),
    false,
  );
  assert.match(judge("nmstate.io/v1", "NodeNetworkConfigurationPolicy"), /^warning PT-MAN-9 kind/);
  assert.match(judge("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot"), /^warning PT-MAN-9 kind/);
  assert.match(judge("kubevrt.io/v1", "VirtualMachinePool"), /^error PT-MAN-8 kind/);
  assert.match(
    judge("example.com/v1", "VirtualMachines"),
    /^error PT-MAN-8 kind: Did you mean `VirtualMachine`/,
  );
  assert.match(judge("kubevirt.io/v1", "VirtualMachineInstancePreset"), /^warning PT-MAN-9 kind/);
  assert.match(judge("v1", "Namespace"), /^warning PT-MAN-9/);
  assert.equal(
    judge("kubevirt.io/v1", "VirtualMachin"),
    "error PT-MAN-8 kind: Did you mean `VirtualMachine`?",
  );
  assert.equal(judge("v1", "Servise"), "error PT-MAN-8 kind: Did you mean `Service`?");
  assert.match(
    judge("v1", "VirtualMachine"),
    /^error PT-MAN-8 apiVersion: Write apiVersion: kubevirt.io\/v1 or/,
  );
  assert.match(judge("kubevirt.io/v2", "VirtualMachine"), /^error PT-MAN-8 apiVersion/);
  assert.match(judge("", "Service"), /^error PT-MAN-8/);
  assert.match(judge("v1", "constructor"), /^error PT-MAN-8 kind/);
});

test("what is to be rendered first is told with what renders it", () => {
  const hints = (text: string): string =>
    load(text)
      .map(({ hint }) => hint)
      .join();
  assert.match(hints(vmi(...DOMAIN).replace("name: vm", "name: {{ .Values.name }}")), /helm template/);
  assert.match(hints("apiVersion: template.openshift.io/v1\nkind: Template\nobjects: []\n"), /oc process/);
  assert.match(
    hints("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
    /kubectl kustomize/,
  );
});

test("what a cluster added to an object is not taken over", () => {
  const dumped = {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: "s",
      namespace: "lab",
      labels: { a: "b" },
      uid: "1",
      resourceVersion: "5",
      generation: 2,
      creationTimestamp: "2026-01-01T00:00:00Z",
      finalizers: ["x/y"],
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "2" }],
      managedFields: [{ manager: "kubectl" }],
    },
    spec: { ports: [{ port: 80 }] },
    status: { loadBalancer: {} },
  };
  const { objects, problems } = loadManifests([{ name: "f", text: JSON.stringify(dumped) }]);
  assert.deepEqual(problems, []);
  assert.deepEqual(objects[0]?.object, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "s", namespace: "lab", labels: { a: "b" } },
    spec: { ports: [{ port: 80 }] },
  });
});

test("an older apiVersion is read as today's", () => {
  const { objects } = loadManifests([{ name: "f.yaml", text: vmi(...DOMAIN).replace("/v1", "/v1alpha3") }]);
  assert.equal(objects[0]?.object.apiVersion, "kubevirt.io/v1");
});

test("fields without effect on one machine are named in one note", () => {
  const text = vmi(
    "domain:",
    "  memory: {guest: 1Gi, maxGuest: 2Gi}",
    "  features: {acpi: {enabled: true}, smm: {}, kvm: {hidden: true}}",
    "  devices: {autoattachGraphicsDevice: false}",
    "nodeSelector: {a: b}",
    "affinity: {}",
  );
  const problems = load(text);
  assert.deepEqual(brief(problems), [
    "8:48 warning PT-MAN-13 spec.domain.features.kvm",
    "7:26 warning PT-MAN-24 spec.domain.memory.maxGuest",
  ]);
  assert.equal(
    problems[1]?.message,
    "without effect on one machine: `maxGuest`, `autoattachGraphicsDevice`, `nodeSelector`, `affinity`",
  );
});

test("hostile YAML: every kind of it is a problem with a place", () => {
  const bomb = `${["a: &a [x,x,x,x,x,x,x,x,x]", ..."bcdefghij"]
    .map((line, i, all) =>
      i === 0 ? line : `${line}: &${line} [${`*${i === 1 ? "a" : all[i - 1]},`.repeat(9)}]`,
    )
    .join("\n")}\n`;
  const cases: readonly (readonly [string, string])[] = [
    [bomb, "PT-MAN-6"],
    ["a: &a [*a]", "PT-MAN-6"],
    ["a: *nowhere", "PT-MAN-6"],
    [`a: ${"[".repeat(100)}${"]".repeat(100)}`, "PT-MAN-6"],
    ["[".repeat(50_000), "PT-MAN-2"],
    ["a:\n\tb: 1", "PT-MAN-2"],
    ["a: [1, 2", "PT-MAN-2"],
    ["a: b: c", "PT-MAN-2"],
    ['a: "\\x"', "PT-MAN-2"],
    ["? [x]\n: y", "PT-MAN-5"],
    [": y", "PT-MAN-5"],
    ["a: 1\nb: 2\na: 3", "PT-MAN-4"],
    ["a: .inf", "PT-MAN-7"],
    [`a: 1${"0".repeat(400)}`, "PT-MAN-7"],
    ["a: !!python/object x", "PT-MAN-22"],
    ["- just\n- a list", "PT-MAN-3"],
    ["text", "PT-MAN-3"],
    ["5", "PT-MAN-3"],
    ["x".repeat(4_000_000), "PT-MAN-1"],
    ["---\na: 1\n".repeat(1001), "PT-MAN-1"],
  ];
  for (const [text, code] of cases) {
    const problems = load(text);
    const found = problems.find((problem) => problem.code === code);
    assert.ok(found, `${text.slice(0, 40)}: ${problems.map((problem) => problem.code).slice(0, 5)}`);
    assert.ok((found.at?.line ?? 0) >= 1 && (found.at?.column ?? 0) >= 1 && found.hint !== undefined);
  }
});

test("a duplicate key is found where it stands, and the first one counts", () => {
  const { objects, problems } = loadManifests([
    { name: "f", text: vmi(...DOMAIN, "hostname: a", "hostname: b") },
  ]);
  assert.deepEqual(brief(problems), ["10:3 error PT-MAN-4"]);
  assert.equal((objects[0]!.object.spec as { hostname: string }).hostname, "a");
});

test("keys that JavaScript minds are keys", () => {
  const problems = load(vmi(...DOMAIN, "__proto__: {hostname: x}", "constructor: 1", "toString: 1"));
  assert.deepEqual(
    problems.map(({ code, field }) => `${code} ${field}`),
    ["PT-MAN-10 spec.__proto__", "PT-MAN-10 spec.constructor", "PT-MAN-10 spec.toString"],
  );
  const labels = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {__proto__: x, 5: y, true: z}\n`;
  const { object } = loadManifests([{ name: "f", text: labels }]).objects[0]!;
  assert.deepEqual(Object.keys((object as unknown as { data: object }).data), ["5", "__proto__", "true"]);
});

test("aliases and merge keys work as in kubectl", () => {
  const text = vmi(...DOMAIN, "networks:", "- &n {name: a, pod: {}}", "- {<<: *n, name: b}");
  const { objects, problems } = loadManifests([{ name: "f", text }]);
  assert.deepEqual(problems, []);
  assert.deepEqual((objects[0]!.object.spec as { networks: object }).networks, [
    { name: "a", pod: {} },
    { name: "b", pod: {} },
  ]);
});

test("whatever the text, loading gives a list", () => {
  const pieces = fc.constantFrom(
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "&x ",
    "*x",
    "<<",
    "|",
    ">",
    '"',
    "'",
    "#",
    "---\n",
    "\t",
    "!",
    "?",
    "kind",
    "spec",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
      const { problems } = loadManifests([{ name: "f", text: parts.join("") }]);
      for (const { at } of problems) assert.ok(at !== undefined && at.line >= 1 && at.column >= 1);
    }),
    { numRuns: 400 },
  );
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => Array.isArray(load(text))));
});
