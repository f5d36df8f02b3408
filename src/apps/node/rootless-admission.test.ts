import assert from "node:assert/strict";
import { test } from "node:test";
import { effectiveVmiSpec } from "../../api/defaults.ts";
import type { KubeObject } from "../../api/object.ts";
import { registry } from "../../bindings/index.ts";
import { rootlessAdmission } from "./rootless-admission.ts";
import { readRootlessConfig, refuseRoot } from "./rootless-config.ts";
import { settingsFrom } from "./settings.ts";

function vmi(interfaces: readonly object[], networks: readonly object[] = [{ name: "default", pod: {} }]) {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "web" },
    spec: { domain: { devices: { interfaces } }, networks },
  } as unknown as KubeObject;
}

test("exactly the bindings that say so are let in without root", () => {
  for (const { bindingName, spelling, traits } of registry.all) {
    const result = rootlessAdmission(vmi([{ name: "default", ...spelling }]), undefined);
    assert.equal(result.ok, traits.rootless, bindingName);
    if (!result.ok) assert.match(result.problems[0]?.message ?? "", /`passtBinding: \{\}`/);
  }
  assert.ok(rootlessAdmission(vmi([], []), undefined).ok);
});

test("a VM's template is judged as its instance is", () => {
  const { spec } = vmi([{ name: "default", masquerade: {} }]) as unknown as { spec: object };
  const vm = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "web" },
    spec: { template: { spec } },
  };
  const result = rootlessAdmission(vm as unknown as KubeObject, undefined);
  assert.ok(!result.ok);
  assert.equal(result.problems[0]?.field, "spec.template.spec.domain.devices.interfaces[0]");
});

test("networks that CNI makes are refused, Services and NADs warned of", () => {
  const nad = { name: "lan", multus: { networkName: "lan" } };
  const refused = rootlessAdmission(vmi([{ name: "lan", passtBinding: {} }], [nad]), undefined);
  assert.ok(!refused.ok);
  assert.equal(refused.problems[0]?.field, "spec.networks[0]");
  for (const kind of ["Service", "NetworkAttachmentDefinition"]) {
    const warned = rootlessAdmission({ apiVersion: "v1", kind, metadata: { name: "web" } }, undefined);
    assert.deepEqual(warned.ok && warned.warnings.map(({ code }) => code), ["PT-ROOTLESS-6"]);
  }
});

test("a VM that names no interface gets one that needs no root", () => {
  const settings = settingsFrom({ ...readRootlessConfig(undefined) });
  const spec = effectiveVmiSpec({ domain: { devices: {} } }, settings);
  const [nic] = spec.domain.devices.interfaces ?? [];
  assert.ok(nic !== undefined && registry.of(nic)?.traits.rootless);
});

test("root is not an ordinary user", () => {
  assert.throws(() => refuseRoot(0), { code: "PT-ROOTLESS-8" });
  refuseRoot(1000);
});
