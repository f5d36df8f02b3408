/**
 * What a macvtap sits on and how it shares it. macvlan is always built on a real device: made over a macvlan it takes
 * that one's lower device, which may be the host's (kernel: drivers/net/macvlan.c, macvlan_common_newlink). So a pod NIC
 * by the macvlan plugin gives the guest a place on the host's interface, beside the pod NIC.
 */
import { MACVLAN_MODE_ANNOTATION, MACVLAN_MODES } from "../../api/annotations.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NicContext, NicSpec } from "../../plan/binding.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { MacvlanMode } from "../../plan/plan.ts";

/** The annotation's, else the network's own `mode`, else bridge. */
export function wantedMode(nic: NicSpec): MacvlanMode {
  const asked = nic.annotations[MACVLAN_MODE_ANNOTATION] ?? nic.mode;
  return MACVLAN_MODES.find((mode) => mode === asked) ?? "bridge";
}

/** The frames of the guest pass the pod NIC; otherwise they go from the macvtap to the host's interface at once. */
export function passesPodNic({ podLink }: NicContext): boolean {
  return podLink.type !== "macvlan";
}

/** What the host needs for it. */
export function lacking({ macvtap, netdevEgress }: HostFeatures): string | undefined {
  if (!macvtap) return "the kernel has no macvtap (CONFIG_MACVTAP)";
  // The guest could speak under any address, and our router advertisements would go to the whole network.
  if (!netdevEgress) return "the kernel cannot filter what leaves a macvtap (nft netdev egress, kernel 5.16)";
  return undefined;
}

/** The mode, or why nothing can be built here. Asked again with the real link, for attachments are not always known. */
export function modeOf(nic: NicContext): Result<MacvlanMode> {
  const mode = wantedMode(nic);
  const { type, mac } = nic.podLink;
  const missing = lacking(nic.vm.features);
  if (missing !== undefined) return failed(cannotHere(nic, missing));
  if (type === "ipvlan") return failed(overIpvlan(nic));
  if (type === "macvlan" && mode === "passthru") return failed(passthruIsAlone(nic));
  if (mac === undefined) return failed(noEthernet(nic));
  return ok(mode);
}

export function problemsOf(nic: NicSpec): readonly Problem[] {
  const [plugin] = nic.plugins ?? [];
  if (plugin === "ipvlan") return [overIpvlan(nic)];
  return plugin === "macvlan" && wantedMode(nic) === "passthru" ? [passthruIsAlone(nic)] : [];
}

function cannotHere({ field }: NicSpec, message: string): Problem {
  const hint = "wire it by bridge or masquerade; `podtap choose` tells what this host can";
  return { code: "PT-MACVTAP-1", severity: "error", reason: "FieldValueNotSupported", field, message, hint };
}

function overIpvlan({ field }: NicSpec): Problem {
  const message = "a macvtap has a MAC address of its own, and ipvlan gives all its links the host's";
  return problem(field, message, "let the network use the macvlan plugin, or wire it by masquerade");
}

function passthruIsAlone({ field }: NicSpec): Problem {
  const message =
    "passthru takes a device for itself alone, and the macvlan of this network shares it already";
  return problem(field, message, "use mode bridge, or give the pod the device itself: plugin host-device");
}

function noEthernet({ field, network }: NicSpec): Problem {
  const message = `the link of network ${network.name} has no MAC address, and a macvtap needs Ethernet below it`;
  return problem(field, message, "wire this network by masquerade or passt");
}

function problem(field: string, message: string, hint: string): Problem {
  return { code: "PT-MACVTAP-2", severity: "error", reason: "FieldValueNotSupported", field, message, hint };
}
