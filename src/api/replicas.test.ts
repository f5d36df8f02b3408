import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS } from "../bindings/settings.ts";
import { type Validated, validateManifests } from "./validate.ts";

const VMI =
  "{domain: {memory: {guest: 1Gi}, devices: {interfaces: [{name: a, masquerade: {}, ports: [{port: 80}]}]}}, networks: [{name: a, pod: {}}]}";

function replicaSet(replicas: string, spec = VMI): string {
  return [
    "apiVersion: kubevirt.io/v1alpha3",
    "kind: VirtualMachineInstanceReplicaSet",
    "metadata: {name: web, namespace: lab}",
    "spec:",
    `  ${replicas}`,
    "  selector: {matchLabels: {app: web}}",
    "  template:",
    "    metadata: {name: ignored, labels: {app: web}}",
    `    spec: ${spec}`,
    "",
  ].join("\n");
}

function read(text: string): Validated {
  return validateManifests([{ name: "f.yaml", text }], DEFAULT_SETTINGS);
}

function said({ problems }: Validated): readonly string[] {
  return problems.map(({ severity, code, field, at }) => `${at?.line} ${severity} ${code} ${field}`);
}

test("a replica set is as many VMIs, which a Service of the same files finds", () => {
  const service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: lab}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
  const found = read(`${replicaSet("replicas: 3")}---\n${service}`);
  assert.deepEqual(said(found), ["2 warning PT-EARLY-63 kind"]);
  const [first, second, third, last, ...more] = found.objects.map(({ object }) => object);
  assert.deepEqual(
    [first, second, third, last].map((one) => one?.metadata.name),
    ["web-0", "web-1", "web-2", "s"],
  );
  assert.deepEqual(more, []);
  assert.deepEqual(
    [first?.apiVersion, first?.kind, first?.metadata],
    ["kubevirt.io/v1", "VirtualMachineInstance", { name: "web-0", namespace: "lab", labels: { app: "web" } }],
  );
});

test("what is wrong with them is said once, where it stands", () => {
  const found = read(replicaSet("replicas: 2", VMI.replace("masquerade", "masqurade").replace("1Gi", "1")));
  assert.deepEqual(said(found), [
    "9 error PT-MAN-10 spec.template.spec.domain.devices.interfaces[0].masqurade",
    "2 warning PT-EARLY-63 kind",
    "9 error PT-EARLY-19 spec.domain.memory.guest",
  ]);
});

test("a pool is as many VMs, with their instancetypes", () => {
  const pool = [
    "apiVersion: pool.kubevirt.io/v1alpha1",
    "kind: VirtualMachinePool",
    "metadata: {name: pool}",
    "spec:",
    "  replicas: 2",
    "  virtualMachineTemplate:",
    "    metadata: {labels: {p: q}}",
    "    spec:",
    "      runStrategy: Always",
    "      instancetype: {name: u1.nano}",
    "      template: {spec: {domain: {devices: {}}}}",
    "",
  ].join("\n");
  const found = read(pool);
  assert.deepEqual(said(found), ["2 warning PT-EARLY-63 kind"]);
  assert.deepEqual(
    found.objects.map(({ object }) => [object.kind, object.metadata]),
    [0, 1].map((i) => ["VirtualMachine", { name: `pool-${i}`, labels: { p: "q" } }]),
  );
  const spec = found.objects[1]?.object.spec as { template: { spec: { domain: { memory: object } } } };
  assert.deepEqual(spec.template.spec.domain.memory, { guest: "512Mi" });
});

test("numbers that cannot be meant are refused", () => {
  assert.deepEqual(said(read(replicaSet("replicas: 100000"))), ["5 error PT-EARLY-63 spec.replicas"]);
  assert.deepEqual(said(read(replicaSet("replicas: -1"))), ["5 error PT-EARLY-63 spec.replicas"]);
  assert.equal(read(replicaSet("replicas: 0")).objects.length, 0);
  assert.equal(read(replicaSet("paused: false")).objects.length, 1);
});
