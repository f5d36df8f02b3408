import assert from "node:assert/strict";
import { test } from "node:test";
import { DUAL_STACK, HOST, observedPod, RESOLVER, vmi } from "../../test/support/builders.ts";
import type { Vmi } from "../api/types.ts";
import { registry } from "../bindings/index.ts";
import type { Plan } from "../plan/plan.ts";
import { planPod } from "../plan/planner.ts";
import { setCondition } from "./conditions.ts";
import { runStrategyOf, vmStatus } from "./vm-status.ts";
import { type GuestEvidence, vmiInterfaces } from "./vmi-interfaces.ts";

function plan(): Plan {
  const result = planPod(
    { vmi: vmi(), observed: observedPod(DUAL_STACK), resolver: RESOLVER, host: HOST, queues: 0 },
    registry,
  );
  assert.ok(result.ok);
  return result.value;
}
const silent: GuestEvidence = { domainRunning: true, agent: [], leased: [], attached: [] };

test("the pod's addresses are reported, the guest's are labelled beside them", () => {
  const [nic] = vmiInterfaces(plan(), silent, registry);
  assert.equal(nic?.ipAddress, "10.244.1.7");
  assert.deepEqual(nic?.ipAddresses, ["10.244.1.7", "fd00:10:244:1::7"]);
  assert.equal(nic?.infoSource, "domain");
  assert.deepEqual(
    nic?.addresses?.map(({ ip, owner, source }) => `${ip} ${owner} ${source}`),
    ["10.244.1.7 pod cni", "fd00:10:244:1::7 pod cni", "10.0.2.2 guest plan", "fd10:0:2::2 guest plan"],
  );
});

test("the agent's word raises the source and never replaces the pod's address", () => {
  const mac = plan().nics[0]?.mac ?? "";
  const agent = [
    { name: "lo", mac: "00:00:00:00:00:00", ips: ["127.0.0.1/8"] },
    { name: "enp1s0", mac: mac.toUpperCase(), ips: ["10.0.2.2/24", "fe80::1/64"] },
    { name: "docker0", mac: "02:42:00:00:00:01", ips: ["172.17.0.1/16"] },
  ];
  const [nic, own, ...rest] = vmiInterfaces(plan(), { ...silent, agent, leased: ["fd10:0:2::2"] }, registry);
  assert.equal(nic?.ipAddress, "10.244.1.7");
  assert.equal(nic?.infoSource, "domain, guest-agent");
  assert.equal(nic?.interfaceName, "enp1s0");
  assert.deepEqual(
    nic?.addresses?.filter(({ owner }) => owner === "guest").map(({ source }) => source),
    ["guest-agent", "dhcp"],
  );
  assert.equal(own?.interfaceName, "docker0");
  assert.equal(own?.ipAddress, "172.17.0.1");
  assert.deepEqual(rest, []);
});

test("run strategy and printable status", () => {
  const vm = (spec: object): Parameters<typeof vmStatus>[0] => ({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "a" },
    spec: { template: { spec: { domain: { devices: {} } } }, ...spec },
  });
  assert.equal(runStrategyOf(vm({ running: true }).spec), "Always");
  assert.equal(runStrategyOf(vm({ runStrategy: "Manual" }).spec), "Manual");
  const running: Vmi = {
    ...vmi(),
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  };
  assert.equal(vmStatus(vm({ running: false }), undefined).printableStatus, "Stopped");
  assert.equal(vmStatus(vm({ running: true }), undefined).printableStatus, "Starting");
  assert.deepEqual(
    [
      vmStatus(vm({ running: true }), running).printableStatus,
      vmStatus(vm({ running: true }), running).ready,
    ],
    ["Running", true],
  );
  assert.equal(
    vmStatus(vm({ running: true }), { ...vmi(), status: { phase: "Failed" } }).printableStatus,
    "CrashLoopBackOff",
  );
});

test("a condition's time moves only when its status does", () => {
  const first = setCondition([], { type: "Ready", status: "False", message: "a" }, "t1");
  const second = setCondition(first, { type: "Ready", status: "False", message: "b" }, "t2");
  const third = setCondition(second, { type: "Ready", status: "True" }, "t3");
  assert.deepEqual(second[0], { type: "Ready", status: "False", message: "b", lastTransitionTime: "t1" });
  assert.deepEqual(third[0], { type: "Ready", status: "True", lastTransitionTime: "t3" });
});
