import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS } from "../bindings/settings.ts";
import type { VirtualMachine, VmiSpec } from "./types.ts";
import { admitObject, validateManifests } from "./validate.ts";

const vm = (spec: string, domain = "devices: {disks: [{name: d}, {name: c, cdrom: {}}]}"): string => `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  runStrategy: Always
  ${spec}
  template:
    spec:
      domain: {${domain}}
      volumes:
      - {name: d, emptyDisk: {capacity: 1Gi}}
      - {name: c, configMap: {name: x}}
`;
const definition = (kind: string, name: string, spec: string, namespace = "default"): string => `
apiVersion: instancetype.kubevirt.io/v1beta1
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
`;

function read(...documents: readonly string[]): { readonly spec: VmiSpec; readonly said: readonly string[] } {
  const { objects, problems } = validateManifests(
    [{ name: "f.yaml", text: documents.join("---") }],
    DEFAULT_SETTINGS,
  );
  const found = objects.map(({ object }) => object as VirtualMachine);
  assert.deepEqual(
    found.map(({ kind }) => kind),
    ["VirtualMachine"],
    "instancetypes and preferences are not kept",
  );
  const said = problems.map(({ severity, code, field }) => `${severity} ${code} ${field}`);
  return { spec: found[0]!.spec.template.spec, said };
}

test("an instancetype of the same files gives CPUs and memory, laid out as the preference says", () => {
  const size = definition(
    "VirtualMachineInstancetype",
    "big",
    "cpu: {guest: 4, model: Nehalem}, memory: {guest: 2Gi}",
  );
  const named = "instancetype: {name: big, kind: virtualmachineinstancetypes}";
  const plain = read(vm(named), size);
  assert.deepEqual(plain.said, []);
  assert.deepEqual(plain.spec.domain.memory, { guest: "2Gi" });
  assert.deepEqual(plain.spec.domain.cpu, { cores: 1, sockets: 4, threads: 1, model: "Nehalem" });
  for (const [wish, cpu] of [
    ["preferCores", { cores: 4, sockets: 1, threads: 1 }],
    ["threads", { cores: 1, sockets: 1, threads: 4 }],
    ["spread", { cores: 2, sockets: 2, threads: 1 }],
  ] as const) {
    const preference = definition(
      "VirtualMachineClusterPreference",
      "p",
      `cpu: {preferredCPUTopology: ${wish}}`,
    );
    const { spec } = read(vm(`${named}\n  preference: {name: p}`), size, preference);
    assert.deepEqual(spec.domain.cpu, { ...cpu, model: "Nehalem" }, wish);
  }
});

test("a preference fills in what the template leaves open, for the default NIC, too", () => {
  const devices = [
    "preferredDiskBus: virtio",
    "preferredCdromBus: scsi",
    "preferredInterfaceModel: virtio",
    "preferredNetworkInterfaceMultiQueue: true",
    "preferredRng: {}",
  ].join(", ");
  const preference = definition(
    "VirtualMachinePreference",
    "p",
    `devices: {${devices}}, machine: {preferredMachineType: q35}`,
  );
  const named = "preference: {name: p, kind: VirtualMachinePreference}";
  const { spec, said } = read(
    vm(named, "memory: {guest: 1Gi}, devices: {disks: [{name: d, disk: {}}, {name: c, cdrom: {}}]}"),
    preference,
  );
  assert.deepEqual(said, []);
  assert.deepEqual(spec.domain.devices, {
    networkInterfaceMultiqueue: true,
    disks: [
      { name: "d", disk: { bus: "virtio" } },
      { name: "c", cdrom: { bus: "scsi" } },
    ],
    interfaces: [{ name: "default", bridge: {}, model: "virtio" }],
    rng: {},
  });
  assert.deepEqual(spec.networks, [{ name: "default", pod: {} }]);
  assert.deepEqual(spec.domain.machine, { type: "q35" });
  const own =
    "memory: {guest: 1Gi}, devices: {disks: [{name: d, disk: {bus: sata}}, {name: c, disk: {}}], interfaces: []}";
  assert.deepEqual(read(vm(named, own), preference).spec.domain.devices.disks?.[0], {
    name: "d",
    disk: { bus: "sata" },
  });
});

test("a preferred binding is for NICs of the pod network that ask for none", () => {
  const preference = definition(
    "VirtualMachineClusterPreference",
    "p",
    "devices: {preferredInterfaceMasquerade: {}, preferredAutoattachPodInterface: true}",
  );
  const nics =
    "memory: {guest: 1Gi}, devices: {interfaces: [{name: a}, {name: b, bridge: {}}], disks: [{name: d}, {name: c}]}";
  const networks = "networks: [{name: a, pod: {}}, {name: b, multus: {networkName: x}}]";
  const text = vm("preference: {name: p}", nics).replace(
    "      volumes:",
    `      ${networks}\n      volumes:`,
  );
  assert.deepEqual(read(text, preference).spec.domain.devices.interfaces, [
    { name: "a", masquerade: {} },
    { name: "b", bridge: {} },
  ]);
});

test("the instancetypes that KubeVirt brings along are known", () => {
  for (const [name, sockets, guest] of [
    ["u1.nano", 1, "512Mi"],
    ["u1.medium", 1, "4Gi"],
    ["u1.2xmedium", 2, "4Gi"],
    ["o1.large", 2, "8Gi"],
    ["cx1.medium", 1, "2Gi"],
    ["cx1.8xlarge", 32, "64Gi"],
    ["m1.large", 2, "16Gi"],
  ] as const) {
    const { spec, said } = read(vm(`instancetype: {name: ${name}}`));
    assert.deepEqual(said, [], name);
    assert.deepEqual([spec.domain.cpu?.sockets, spec.domain.memory?.guest], [sockets, guest], name);
  }
});

test("what is not there, not used, or said twice is told", () => {
  assert.deepEqual(read(vm("instancetype: {name: huge}\n  preference: {name: fedora}")).said, [
    "warning PT-EARLY-55 spec.instancetype",
    "warning PT-EARLY-55 spec.preference",
    "error PT-EARLY-18 ",
  ]);
  assert.deepEqual(
    read(
      vm(
        "instancetype: {inferFromVolume: d}",
        "memory: {guest: 1Gi}, devices: {disks: [{name: d}, {name: c}]}",
      ),
    ).said,
    ["warning PT-EARLY-55 spec.instancetype"],
  );
  const elsewhere = definition("VirtualMachineInstancetype", "big", "memory: {guest: 1Gi}", "lab");
  assert.deepEqual(read(vm("instancetype: {name: big, kind: VirtualMachineInstancetype}"), elsewhere).said, [
    "warning PT-MAN-9 kind",
    "warning PT-EARLY-55 spec.instancetype",
    "error PT-EARLY-18 ",
  ]);
  const { spec, said } = read(
    vm(
      "instancetype: {name: u1.small}",
      "memory: {guest: 1Gi}, cpu: {cores: 2}, devices: {disks: [{name: d}, {name: c}]}",
    ),
  );
  assert.deepEqual(said, [
    "warning PT-EARLY-56 spec.template.spec.domain.memory.guest",
    "warning PT-EARLY-56 spec.template.spec.domain.cpu.cores",
  ]);
  assert.deepEqual(spec.domain.memory, { guest: "2Gi" });
});

test("a definition may hold anything", () => {
  for (const spec of [
    "cpu: 5, memory: [x]",
    "cpu: {guest: -1, model: {}}, memory: {guest: 7}",
    "devices: x, machine: 1",
  ]) {
    for (const kind of ["VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference"]) {
      const text = vm(
        "instancetype: {name: a}\n  preference: {name: a}",
        "memory: {guest: 1Gi}, devices: {disks: [{name: d}, {name: c}]}",
      );
      assert.deepEqual(read(text, definition(kind, "a", spec)).spec.domain.memory, { guest: "1Gi" });
    }
  }
});

test("objects without metadata are errors, and nothing breaks by them", () => {
  const bare = (text: string): string => text.replace(/^metadata: .*$/m, "metadata:");
  const definitions = ["VirtualMachineInstancetype", "VirtualMachineClusterPreference"].map((kind) =>
    bare(definition(kind, "a", "")),
  );
  const claim = bare("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {}\nspec: {}\n");
  const machine = vm(
    "instancetype: {name: a, kind: VirtualMachineInstancetype}\n  preference: {name: a}",
  ).replace("emptyDisk: {capacity: 1Gi}", "persistentVolumeClaim: {claimName: a}");
  const text = [...definitions, claim, machine, bare(machine)].join("---\n");
  const { problems } = validateManifests([{ name: "f.yaml", text }], DEFAULT_SETTINGS);
  assert.ok(problems.filter(({ code, field }) => code === "PT-MAN-12" && field === "metadata").length >= 4);
});

test("an API server, which has no files, knows KubeVirt's own, too", () => {
  const object = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "web" },
    spec: {
      runStrategy: "Always",
      instancetype: { name: "u1.micro" },
      template: { spec: { domain: { devices: {} } } },
    },
  };
  const { object: admitted, problems } = admitObject(object, DEFAULT_SETTINGS);
  assert.deepEqual(problems, []);
  assert.deepEqual((admitted as VirtualMachine).spec.template.spec.domain.memory, { guest: "1Gi" });
});
