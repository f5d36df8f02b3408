/**
 * Does what the first pod would otherwise wait for in the network worker, some 30 ms: every binding plans a NIC that
 * nobody has, so that its code is loaded and compiled, the kernel is asked what it can do, and libnftables with its libraries is loaded.
 */
import type { Vmi } from "../../api/types.ts";
import type { Cidr } from "../../base/ip.ts";
import { PRIMARY_POD_INTERFACE } from "../../base/names.ts";
import { hostFeatures } from "../../linux/features.ts";
import { runNft } from "../../linux/nft.ts";
import { renderTable } from "../../nft/render.ts";
import type { Binding, BindingRegistry } from "../../plan/binding.ts";
import { NOTHING_OBSERVED, type Observed } from "../../plan/observed.ts";
import { planPod } from "../../plan/planner.ts";

const ADDRESSES = ["10.0.0.2/24", "fd00::2/64"] as readonly string[] as readonly Cidr[];
const OBSERVED: Observed = {
  ...NOTHING_OBSERVED,
  links: [{ index: 2, name: PRIMARY_POD_INTERFACE, type: "veth", mtu: 1500, up: true, addresses: ADDRESSES }],
};

export function warmUp(registry: BindingRegistry): void {
  for (const { spelling } of registry.all) {
    const planned = planPod(
      {
        vmi: sampleVmi(spelling),
        observed: OBSERVED,
        resolver: { nameservers: [], searchDomains: [] },
        host: { runtimeUid: 0, features: hostFeatures(), inbound: "declared" },
        queues: 0,
      },
      registry,
    );
    if (planned.ok) for (const table of planned.value.nics.flatMap(({ nft }) => nft)) renderTable(table);
  }
  runNft("");
}

function sampleVmi(spelling: Binding["spelling"]): Vmi {
  const nic = { name: "default", ...spelling, ports: [{ port: 22 }, { port: 80 }] };
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "warm-up", namespace: "default", uid: "warm-up" },
    spec: { domain: { devices: { interfaces: [nic] } }, networks: [{ name: "default", pod: {} }] },
  };
}
