/** Starting pods on networks, with the real cluster and controllers; the machine below is a script. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../../../../test/support/builders.ts";
import { openTestCluster } from "../../../../test/support/local-cluster.ts";
import { nad, networkSources } from "../../../../test/support/nads.ts";
import { eventually } from "../../../../test/support/netns.ts";
import type { Nad, Pod, Vmi } from "../../../api/types.ts";
import { secondaryPodInterface } from "../../../base/names.ts";
import { registry } from "../../../bindings/index.ts";
import { planPod } from "../../../plan/planner.ts";
import { runController } from "../../controllers/controller.ts";
import { vmiController } from "../../controllers/vmi-controller.ts";
import type { KubeEvent } from "../../event-recorder.ts";
import { networkAnnotations } from "../../multus/pod-networks.ts";
import { EVENTS, NADS, PODS, VMIS } from "../../port.ts";
import { attachNetworks } from "../cni/attach-networks.ts";
import { requestedNetworks } from "../cni/requested-networks.ts";
import { parseCniResult } from "../cni/result.ts";
import type { LocalCluster } from "../local-cluster.ts";
import type { GuestState, PodMachine } from "./machine.ts";
import { podRunner } from "./pod-runner.ts";

const LAN = secondaryPodInterface("lan");

const twoNics: Vmi = vmi({
  spec: {
    domain: {
      devices: {
        interfaces: [
          { name: "lan", masquerade: {} },
          { name: "default", masquerade: {} },
        ],
      },
      memory: { guest: "64Mi" },
    },
    networks: [
      { name: "lan", multus: { networkName: "blue" } },
      { name: "default", pod: {} },
    ],
  },
});

/** What plugins would have answered: an address for the pod network, a link alone for others. */
const cni: Parameters<typeof attachNetworks>[0] = {
  add: async ({ ifName }) => {
    const ips = ifName === "eth0" ? [{ address: "10.244.1.7/24", interface: 0 }] : [];
    const result = parseCniResult({ interfaces: [{ name: ifName, sandbox: "/x" }], ips });
    return result ?? assert.fail();
  },
};

function machineOn(cluster: LocalCluster): PodMachine {
  const sources = {
    ...networkSources("/nowhere", []),
    nad: (namespace: string, name: string) => cluster.get<Nad>({ resource: NADS, namespace, name }),
    allNads: () => cluster.list<Nad>(NADS),
  };
  const guest: GuestState = {
    phase: "running",
    agent: { connected: false, interfaces: [] },
    leases: [],
  };
  return {
    startSandbox: async () => undefined,
    attachNetworks: async (pod, { metadata, ...rest }) => {
      const requested = await requestedNetworks(
        networkAnnotations({ metadata, ...rest }),
        pod.namespace,
        sources,
      );
      return attachNetworks(cni, { containerId: pod.id, netnsPath: "/x", pod }, requested);
    },
    wire: async (_, wanted) => {
      const observed = observedPod(DUAL_STACK);
      const links = [...observed.links, podLink(["10.1.1.2/24"], { name: LAN, index: 3 })];
      const result = planPod(
        { vmi: wanted, observed: { ...observed, links }, resolver: RESOLVER, host: HOST, queues: 0 },
        registry,
      );
      return result.ok ? { ...result, value: { plan: result.value, changes: 1, milliseconds: 1 } } : result;
    },
    prepareDisks: async () => undefined,
    startGuest: async () => ({ type: "tcg", reason: "test" }),
    watchGuest: async function* (_, signal) {
      yield guest;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
    stopGuest: async () => undefined,
    adopt: async () => false,
    storedPlan: () => undefined,
    dismantle: async () => undefined,
  };
}

async function run(t: TestContext, wanted: Vmi): Promise<LocalCluster> {
  const { cluster, clock, close } = openTestCluster();
  const environment = {
    cluster,
    // Whatever would come by waiting does not come.
    timers: { after: () => () => undefined },
    now: () => new Date(clock.now()).toISOString(),
    warn: (_: string, key: string, thrown: unknown) => t.diagnostic(`${key}: ${thrown}`),
  };
  const stop = new AbortController();
  const effective = (one: Vmi): Vmi => one;
  const pods = podRunner(environment, { machine: machineOn(cluster), registry, nodeName: "n", effective });
  const running = [vmiController(environment, { memoryOf: () => 100 }), pods].map((controller) =>
    runController(controller, environment, stop.signal),
  );
  t.after(async () => {
    stop.abort();
    await pods.letGo();
    await Promise.allSettled(running);
    await close();
  });
  const { uid: _, ...metadata } = wanted.metadata;
  await cluster.create(VMIS, { ...wanted, metadata });
  return cluster;
}

const find = (cluster: LocalCluster): Promise<Vmi | undefined> =>
  cluster.get<Vmi>({ resource: VMIS, namespace: "default", name: "web" });

test("a VM waits for its NAD, says so, and starts as soon as the NAD is there", async (t) => {
  const cluster = await run(t, twoNics);
  const waiting = await eventually("the condition", async () => {
    const conditions = (await find(cluster))?.status?.conditions ?? [];
    return conditions.find(({ type, status }) => type === "Synchronized" && status === "False");
  });
  assert.equal(waiting.reason, "FailedCreatePodSandBox");
  assert.match(waiting.message ?? "", /PT-NAD-2: there is no NetworkAttachmentDefinition default\/blue/);
  const events = await cluster.list<KubeEvent>(EVENTS);
  assert.ok(events.some(({ reason, type }) => reason === waiting.reason && type === "Warning"));
  assert.equal((await cluster.list<Pod>(PODS))[0]?.status?.phase, undefined);

  // The timer never fires: only the NAD itself may wake it, once it waits.
  await eventually("the VM runs", async () => {
    const there = await cluster.get({ resource: NADS, namespace: "default", name: "blue" });
    if (there === undefined) await cluster.create(NADS, nad("blue", { type: "bridge" }));
    else
      await cluster.update(NADS, {
        ...there,
        metadata: { ...there.metadata, labels: { t: `${Math.random()}` } },
      });
    return (await find(cluster))?.status?.phase === "Running" || undefined;
  });
  const conditions = (await find(cluster))?.status?.conditions ?? [];
  assert.equal(
    conditions.find(({ type }) => type === "Synchronized"),
    undefined,
  );
});

test("what is attached shows on the pod, and on the VMI with the primary NIC first", async (t) => {
  const cluster = await run(t, twoNics);
  await cluster.create(NADS, nad("blue", { type: "bridge" }));
  const status = await eventually("the VM runs", async () => {
    const seen = (await find(cluster))?.status;
    return seen?.phase === "Running" ? seen : undefined;
  });
  assert.deepEqual(
    status.interfaces?.map(({ name, infoSource, podInterfaceName }) => ({
      name,
      infoSource,
      podInterfaceName,
    })),
    [
      { name: "default", infoSource: "domain", podInterfaceName: "eth0" },
      { name: "lan", infoSource: "domain, multus-status", podInterfaceName: LAN },
    ],
  );
  const [pod] = await cluster.list<Pod>(PODS);
  assert.deepEqual(pod?.status?.podIPs, [{ ip: "10.244.1.7" }]);
  const annotations = pod?.metadata.annotations ?? {};
  assert.equal(
    annotations["k8s.v1.cni.cncf.io/networks"],
    `[{"name":"blue","namespace":"default","interface":"${LAN}"}]`,
  );
  assert.deepEqual(JSON.parse(annotations["k8s.v1.cni.cncf.io/network-status"] ?? ""), [
    { name: "podtap", interface: "eth0", ips: ["10.244.1.7"], default: true, dns: {} },
    { name: "default/blue", interface: LAN, dns: {} },
  ]);
});
