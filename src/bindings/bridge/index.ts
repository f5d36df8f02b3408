/**
 * bridge: the guest takes the pod's place, with its MAC and its addresses (KubeVirt `pkg/network/setup/netpod`).
 *
 *   guest 10.244.1.7 ── tap0 ── k6t-eth0 ── eth0-nic ── the network        eth0: parked, down
 *
 * The network sees one station as before, and it is the guest: every port, every protocol, no translation. podtap's
 * DHCP, DHCPv6 and router advertisements give the guest what CNI gave the pod, and introduce the network's own
 * router. Nothing of that conversation reaches the network, and no other server reaches the guest, unless
 * `podtap.io/dhcp: external` leaves addressing to the network; as a network without IPAM always does.
 *
 * Not here: the wiring (plan/parts/pod-bridge.ts), which managed-tap shares.
 */
import { DHCP_ANNOTATION } from "../../api/annotations.ts";
import type { Binding, NicSpec } from "../../plan/binding.ts";
import { planPodBridge, reportPodBridge } from "../../plan/parts/pod-bridge.ts";
import { unbridgeable } from "../../plan/parts/unbridgeable.ts";

const ALTERNATIVE =
  "ask for `binding: {name: tc-redirect}` or `binding: {name: macvtap}`, or use CNI's bridge plugin in the network; on the pod network, masquerade";

export const bridge: Binding = {
  bindingName: "bridge",
  spelling: { bridge: {} },
  traits: {
    podAddress: "moved",
    guestAddressing: "podtap",
    attaches: "tap",
    networks: "any",
    liveMigration: "no",
    migrationAnnotation: "kubevirt.io/allow-pod-bridge-network-live-migration",
    hotplug: true,
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
      bindingName: bridge.bindingName,
      alternative: ALTERNATIVE,
      addressing: isExternal(nic) ? "network" : "podtap",
      serverOnBridge: true,
    }),
  report: reportPodBridge,
};

function isExternal({ annotations }: NicSpec): boolean {
  return annotations[DHCP_ANNOTATION] === "external";
}
