/**
 * managed-tap: bridge without podtap's own DHCP (KubeVirt's plugin with `domainAttachmentType: managedTap`). The
 * guest has the pod's MAC and a wire to the network, which gives it its addresses: by DHCP, router advertisements, or
 * cloud-init and nobody at all.
 */
import type { Binding } from "../../plan/binding.ts";
import { planPodBridge, reportPodBridge } from "../../plan/parts/pod-bridge.ts";
import { unbridgeable } from "../../plan/parts/unbridgeable.ts";

const ALTERNATIVE =
  "ask for `binding: {name: tc-redirect}` or `binding: {name: macvtap}`, or use CNI's bridge plugin in the network; on the pod network, masquerade";

export const managedTap: Binding = {
  bindingName: "managed-tap",
  spelling: { binding: { name: "managed-tap" } },
  traits: {
    podAddress: "moved",
    guestAddressing: "network",
    attaches: "tap",
    networks: "any",
    liveMigration: "no",
    hotplug: false,
    ports: "informative",
    path: "bridged",
    layer2: true,
    podStack: false,
    rootless: false,
  },
  lacking: () => undefined,
  validate: (nic) => {
    const problem = unbridgeable(nic, ALTERNATIVE);
    return problem === undefined ? [] : [problem];
  },
  podNeeds: () => ({ memoryMiB: 0 }),
  plan: (nic) =>
    planPodBridge(nic, {
      bindingName: managedTap.bindingName,
      alternative: ALTERNATIVE,
      addressing: "network",
      serverOnBridge: false,
    }),
  report: reportPodBridge,
};
