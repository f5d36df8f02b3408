import assert from "node:assert/strict";
import { test } from "node:test";
import type { DomainSpec, Vmi } from "../api/types.ts";
import { cpuModel, cpuTopology } from "./cpu.ts";
import type { DomainDisk } from "./devices.ts";
import { targetDisks } from "./disk-targets.ts";
import { domainName, planDomain } from "./domain.ts";
import { firmwareUuid } from "./firmware-uuid.ts";
import { guestMemoryBytes } from "./memory.ts";
import { pciAddress } from "./xml-address.ts";

function domain(more: Partial<DomainSpec> = {}): DomainSpec {
  return { devices: {}, ...more };
}

function vmi(spec: DomainSpec, uid?: string): Vmi {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "web", namespace: "shop", ...(uid === undefined ? {} : { uid }) },
    spec: { domain: spec },
  };
}

test("memory is what the guest is given, else what is requested, else the limit", () => {
  const requests = { memory: "1Gi" };
  const limits = { memory: "2Gi" };
  assert.equal(guestMemoryBytes(domain({ memory: { guest: "64M" }, resources: { requests, limits } })), 64e6);
  assert.equal(guestMemoryBytes(domain({ memory: {}, resources: { requests, limits } })), 2 ** 30);
  assert.equal(guestMemoryBytes(domain({ resources: { limits } })), 2 ** 31);
  assert.equal(guestMemoryBytes(domain()), undefined);
});

test("a guest without memory is refused with what to write", () => {
  const input = {
    nics: [],
    disks: [],
    accelerator: { type: "tcg", reason: "" },
    consoleSocket: "",
    agentSocket: "",
    nicSocketFolder: "",
  } as const;
  for (const guest of [undefined, "0", "lots"]) {
    const spec = domain(guest === undefined ? {} : { memory: { guest } });
    assert.throws(() => planDomain({ vmi: vmi(spec), ...input }), { code: "PT-DOMAIN-2" }, guest);
  }
});

test("CPUs follow KubeVirt: parts default to 1, none at all means the reserved ones as sockets", () => {
  const topologies: readonly [DomainSpec, readonly number[]][] = [
    [domain(), [1, 1, 1]],
    [domain({ cpu: { cores: 2 } }), [1, 2, 1]],
    [domain({ cpu: { sockets: 2, threads: 2 } }), [2, 1, 2]],
    [domain({ cpu: { model: "host-model" }, resources: { requests: { cpu: "1500m" } } }), [2, 1, 1]],
    [domain({ resources: { requests: { cpu: 1 }, limits: { cpu: "3" } } }), [3, 1, 1]],
  ];
  for (const [spec, wanted] of topologies) {
    const { sockets, cores, threads } = cpuTopology(spec);
    assert.deepEqual([sockets, cores, threads], wanted);
  }
});

test("the host's CPU is passed through by KVM only", () => {
  assert.deepEqual(cpuModel(undefined, "kvm"), { mode: "host-passthrough" });
  assert.deepEqual(cpuModel({ model: "host-model" }, "kvm"), { mode: "host-model" });
  assert.deepEqual(cpuModel({ model: "host-model" }, "tcg"), { mode: "maximum" });
  assert.deepEqual(cpuModel({ model: "Nehalem" }, "tcg"), { mode: "custom", model: "Nehalem" });
});

test("disks are lettered a prefix, beyond z as the kernel does", () => {
  const disk = (bus: DomainDisk["bus"]): DomainDisk => ({
    name: "d",
    device: "disk",
    bus,
    format: "raw",
    path: "/d",
    readonly: false,
  });
  const few = targetDisks([disk("virtio"), disk("sata"), disk("virtio"), disk("usb"), disk("scsi")]);
  assert.deepEqual(
    few.map(({ target }) => target),
    ["vda", "sda", "vdb", "sdb", "sdc"],
  );
  const many = targetDisks(Array.from({ length: 703 }, () => disk("virtio")));
  assert.deepEqual(
    [25, 26, 27, 701, 702].map((i) => many[i]?.target),
    ["vdz", "vdaa", "vdab", "vdzz", "vdaaa"],
  );
});

test("the firmware's UUID is the manifest's, or the same one for the same uid", () => {
  const uuid = "5d307ca9-b3ef-428c-8861-06e72d69f223";
  assert.equal(firmwareUuid(vmi(domain({ firmware: { uuid } }), "u1")), uuid);
  const derived = firmwareUuid(vmi(domain(), "u1"));
  assert.match(derived, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(firmwareUuid(vmi(domain(), "u1")), derived);
  assert.notEqual(firmwareUuid(vmi(domain(), "u2")), derived);
  // uuid.NewSHA1(6a1a24a1-4061-4607-8bf4-a3963d0c5895, "testvm"), as Python's uuid.uuid5 computes it.
  assert.equal(firmwareUuid(vmi(domain(), "testvm")), "5a9fc181-957e-5c32-9e5a-2de5e9673531");
});

test("names and PCI addresses are KubeVirt's", () => {
  assert.equal(domainName(vmi(domain())), "shop_web");
  assert.deepEqual(Object.fromEntries(pciAddress("0000:8A:1f.7").attributes), {
    type: "pci",
    domain: "0x0000",
    bus: "0x8a",
    slot: "0x1f",
    function: "0x7",
  });
  assert.throws(() => pciAddress("81:01.0"), { code: "PT-DOMAIN-3" });
});
