import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "../bindings/settings.ts";
import {
  effectiveVmiSpec,
  hostnameOf,
  pullPolicyOf,
  queueCapacity,
  vcpuCount,
  vmiFromVm,
  withDefaultNic,
} from "./defaults.ts";
import { launcherLabels, selects, vmiId } from "./launcher-labels.ts";
import { sanitiseCidr, sanitiseIp } from "./sanitise.ts";
import type { DomainSpec, VirtualMachine, VmiSpec } from "./types.ts";

const bare: VmiSpec = { domain: { devices: {} } };
function spec(domain: Partial<DomainSpec>, rest: Partial<VmiSpec> = {}): VmiSpec {
  return { ...rest, domain: { devices: {}, ...domain } };
}

test("the default NIC: added to nothing, never to something", () => {
  const added = withDefaultNic(bare, { ...DEFAULT_SETTINGS, defaultBinding: "masquerade" });
  assert.deepEqual(added.networks, [{ name: "default", pod: {} }]);
  assert.deepEqual(added.domain.devices.interfaces, [{ name: "default", masquerade: {} }]);
  assert.deepEqual(withDefaultNic(bare, STRICT_SETTINGS).domain.devices.interfaces, [
    { name: "default", bridge: {} },
  ]);
  for (const other of [
    spec({ devices: { autoattachPodInterface: false } }),
    spec({ devices: { interfaces: [{ name: "a", masquerade: {} }] } }),
    spec({}, { networks: [{ name: "a", pod: {} }] }),
  ]) {
    assert.equal(withDefaultNic(other, DEFAULT_SETTINGS), other);
  }
  assert.notEqual(
    withDefaultNic(spec({ devices: { autoattachPodInterface: true } }), DEFAULT_SETTINGS).networks,
    undefined,
  );
});

test("defaults fill in what is not said, and leave the input alone", () => {
  const input = spec({ resources: { requests: { memory: "512Mi", cpu: "2500m" } } });
  const before = structuredClone(input);
  const full = effectiveVmiSpec(input, DEFAULT_SETTINGS);
  assert.deepEqual(input, before);
  assert.equal(full.domain.memory?.guest, "512Mi");
  assert.deepEqual(full.domain.machine, { type: "q35" });
  assert.deepEqual(full.domain.cpu, { cores: 1, sockets: 3, threads: 1 });
  assert.equal(full.terminationGracePeriodSeconds, 30);
  assert.equal(
    effectiveVmiSpec(spec({}, { terminationGracePeriodSeconds: 0 }), DEFAULT_SETTINGS)
      .terminationGracePeriodSeconds,
    0,
  );
  assert.deepEqual(effectiveVmiSpec(full, DEFAULT_SETTINGS), full, "twice is once");
});

test("every spelling becomes today's", () => {
  const full = effectiveVmiSpec(
    spec(
      {
        devices: {
          interfaces: [
            { name: "a", masquerade: { cidr: "192.168.1.0/28" }, dhcpOptions: { ntpServers: ["010.0.0.1"] } },
            { name: "b", slirp: {} },
            { name: "c", passt: {} },
            { name: "d", macvtap: {} },
            { name: "e", binding: { name: "managedtap" } },
            { name: "f", binding: { name: "passt" } },
            { name: "g", binding: { name: "other" } },
          ],
          disks: [{ name: "empty", cdrom: {} }],
        },
      },
      {
        networks: [{ name: "a", pod: { vmIPv6NetworkCIDR: "fd10::/64" } }],
        dnsConfig: { nameservers: ["08.8.8.8"] },
      },
    ),
    DEFAULT_SETTINGS,
  );
  assert.deepEqual(full.domain.devices.interfaces, [
    { name: "a", masquerade: { cidr: "192.168.1.0/28" }, dhcpOptions: { ntpServers: ["10.0.0.1"] } },
    { name: "b", binding: { name: "slirp" } },
    { name: "c", passtBinding: {} },
    { name: "d", binding: { name: "macvtap" } },
    { name: "e", binding: { name: "managed-tap" } },
    { name: "f", passtBinding: {} },
    { name: "g", binding: { name: "other" } },
  ]);
  assert.deepEqual(full.networks?.[0]?.pod, {
    vmIPv6NetworkCIDR: "fd10::/64",
    vmNetworkCIDR: "192.168.1.0/28",
  });
  assert.deepEqual(full.dnsConfig, { nameservers: ["8.8.8.8"] });
  assert.deepEqual(full.domain.devices.disks, []);
  const six = spec(
    { devices: { interfaces: [{ name: "a", masquerade: { cidr: "fd10:5::/120" } }] } },
    { networks: [{ name: "a", pod: { vmNetworkCIDR: "010.0.9.1/24" } }] },
  );
  assert.deepEqual(effectiveVmiSpec(six, DEFAULT_SETTINGS).networks?.[0]?.pod, {
    vmNetworkCIDR: "10.0.9.1/24",
    vmIPv6NetworkCIDR: "fd10:5::/120",
  });
});

test("addresses are read leniently, as KubeVirt does", () => {
  assert.equal(sanitiseIp("010.000.2.001"), "10.0.2.1");
  assert.equal(sanitiseIp("::ffff:10.0.0.1"), "10.0.0.1");
  assert.equal(sanitiseIp("ntp.org"), "ntp.org");
  assert.equal(sanitiseIp("10.0.0.256"), "10.0.0.256");
  assert.equal(sanitiseCidr("010.0.2.7/024"), "10.0.2.7/24");
  assert.equal(sanitiseCidr("10.0.2.0"), "10.0.2.0");
});

test("image pull policies", () => {
  assert.equal(pullPolicyOf("quay.io/containerdisks/fedora:latest"), "Always");
  assert.equal(pullPolicyOf("quay.io:5000/fedora"), "Always");
  assert.equal(pullPolicyOf("registry:5000/kubevirt/cirros:devel"), "IfNotPresent");
  assert.equal(pullPolicyOf("fedora@sha256:abc"), "IfNotPresent");
});

test("vCPUs and queues", () => {
  assert.equal(vcpuCount(bare), 1);
  assert.equal(vcpuCount(spec({ cpu: { cores: 2, threads: 2 } })), 4);
  assert.equal(
    vcpuCount(spec({ cpu: { model: "host" }, resources: { limits: { cpu: "3" }, requests: { cpu: 9 } } })),
    3,
  );
  assert.equal(queueCapacity(spec({ cpu: { cores: 4 } })), 0);
  const devices = { networkInterfaceMultiqueue: true };
  assert.equal(queueCapacity(spec({ cpu: { cores: 4 }, devices })), 4);
  assert.equal(queueCapacity(spec({ cpu: { cores: 200, sockets: 2 }, devices })), 256);
});

test("the VMI of a VM, its host name and its pod's labels", () => {
  const vm: VirtualMachine = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "web.example", uid: "u1", labels: { only: "vm" }, annotations: { only: "vm" } },
    spec: { runStrategy: "Always", template: { metadata: { labels: { app: "web" } }, spec: bare } },
  };
  const vmi = vmiFromVm(vm);
  assert.deepEqual(vmi.metadata, {
    name: "web.example",
    namespace: "default",
    labels: { app: "web" },
    ownerReferences: [
      {
        apiVersion: "kubevirt.io/v1",
        kind: "VirtualMachine",
        name: "web.example",
        uid: "u1",
        controller: true,
      },
    ],
  });
  assert.equal(hostnameOf(vmi), "web");
  assert.equal(hostnameOf({ ...vmi, spec: { ...bare, hostname: "db" } }), "db");
  assert.deepEqual(launcherLabels(vmi), {
    app: "web",
    "kubevirt.io": "virt-launcher",
    "vm.kubevirt.io/name": "web",
    "vmi.kubevirt.io/id": "web.example",
  });
  // echo -n "$(printf 'a%.0s' {1..64})" | sha1sum
  assert.equal(vmiId("a".repeat(64)), `${"a".repeat(54)}-0098ba82`);
  assert.equal(selects({ app: "web" }, launcherLabels(vmi)), true);
  assert.equal(selects({ app: "web", x: "y" }, launcherLabels(vmi)), false);
  assert.equal(selects({}, launcherLabels(vmi)), false);
  assert.equal(selects({ toString: "x" }, {}), false);
});
