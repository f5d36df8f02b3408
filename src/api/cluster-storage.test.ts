import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS } from "../bindings/settings.ts";
import type { VirtualMachine, Vmi, VolumeSpec } from "./types.ts";
import { validateManifests } from "./validate.ts";

const PARTS = "{domain: {memory: {guest: 1Gi}, devices: {disks: [{name: d}]}}, volumes: [{name: d, SOURCE}]}";

function vm(source: string, more = ""): string {
  const spec = PARTS.replace("SOURCE", source);
  return `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: web}\nspec: {runStrategy: Always, ${more} template: {spec: ${spec}}}\n`;
}

function vmi(source: string): string {
  const spec = PARTS.replace("SOURCE", source);
  return `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: web}\nspec: ${spec}\n`;
}

const claim = (spec: string, namespace = "default"): string =>
  `apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: ${namespace}}\nspec: {${spec}}\n`;
const SIZE = "resources: {requests: {storage: 2Gi}}";

function read(...documents: readonly string[]): readonly [VolumeSpec | undefined, readonly string[]] {
  const { objects, problems } = validateManifests(
    [{ name: "f", text: documents.join("---\n") }],
    DEFAULT_SETTINGS,
  );
  const { object } = objects[0]!;
  const spec =
    object.kind === "VirtualMachine" ? (object as VirtualMachine).spec.template.spec : (object as Vmi).spec;
  assert.equal(objects.length, 1, "claims and DataVolumes are not kept");
  assert.equal((object.spec as { dataVolumeTemplates?: unknown }).dataVolumeTemplates, undefined);
  return [spec.volumes?.[0], problems.map(({ severity, code, field }) => `${severity} ${code} ${field}`)];
}

test("a DataVolume of an image is a container disk, an empty one an empty disk", () => {
  const template = (spec: string): string =>
    `dataVolumeTemplates: [{metadata: {name: root}, spec: {${spec}}}],`;
  const at = "spec.template.spec.volumes[0].dataVolume";
  const image = template('source: {registry: {url: "docker://quay.io/lab/os:1"}}, storage: {}');
  assert.deepEqual(read(vm("dataVolume: {name: root}", image)), [
    { name: "d", containerDisk: { image: "quay.io/lab/os:1" } },
    [`warning PT-EARLY-61 ${at}`],
  ]);
  const blank = template(`source: {blank: {}}, pvc: {${SIZE}}`);
  assert.deepEqual(read(vm("persistentVolumeClaim: {claimName: root}", blank))[0], {
    name: "d",
    emptyDisk: { capacity: "2Gi" },
  });
  for (const spec of [
    "source: {http: {url: https://x/y.img}}",
    "sourceRef: {kind: DataSource, name: x}",
    "source: {registry: {url: oci-archive://x}}",
    "source: {blank: {}}",
  ]) {
    assert.deepEqual(
      read(vm("dataVolume: {name: root}", template(spec)))[1],
      [`error PT-EARLY-24 ${at}`],
      spec,
    );
  }
});

test("a claim of the same files is an empty disk, unless something fills it", () => {
  const at = "spec.volumes[0].persistentVolumeClaim";
  const source = "persistentVolumeClaim: {claimName: data}";
  assert.deepEqual(read(vmi(source), claim(SIZE)), [
    { name: "d", emptyDisk: { capacity: "2Gi" } },
    [`warning PT-EARLY-61 ${at}`],
  ]);
  const refused = ["warning PT-MAN-9 kind", `error PT-EARLY-24 ${at}`];
  assert.deepEqual(
    read(vmi(source), claim(`${SIZE}, dataSource: {kind: VolumeSnapshot, name: x}`))[1],
    refused,
  );
  assert.deepEqual(read(vmi(source), claim("resources: 1"))[1], refused);
  assert.deepEqual(read(vmi(source), claim(SIZE, "lab"))[1], refused);
  assert.deepEqual(read(vmi(source))[1], [`error PT-EARLY-24 ${at}`]);
});
