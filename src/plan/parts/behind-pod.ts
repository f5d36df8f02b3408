/** What bindings share whose guest is reached by the pod's own address. */
import type { LabelledAddress } from "../../api/types.ts";
import type { Problem } from "../../base/problem.ts";
import type { NicContext, NicEvidence } from "../binding.ts";
import type { NicPlan } from "../plan.ts";

/** @param purpose what the address is wanted for: "hide behind" */
export function noPodAddress(nic: NicContext, purpose: string): Problem {
  return {
    code: "PT-PLAN-2",
    severity: "error",
    reason: "FieldValueInvalid",
    field: nic.field,
    message: `the pod's ${nic.names.podInterface} has no global address to ${purpose}`,
    hint: "give the pod network IPAM, or use a binding that needs no address",
  };
}

/** Notes on the families that the pod, and so the guest, does without. */
export function missingFamilies(
  nic: NicContext,
  has: { readonly ipv4: unknown; readonly ipv6: unknown },
): readonly string[] {
  return [
    ...(has.ipv4 === undefined ? [`no IPv4: ${nic.names.podInterface} has none`] : []),
    ...(has.ipv6 === undefined ? [`no IPv6: ${nic.names.podInterface} has none`] : []),
  ];
}

/** The pod's addresses, the guest's private ones with the best source there is, and what else the agent tells. */
export function reportBehindPod({ addresses }: NicPlan, seen: NicEvidence): readonly LabelledAddress[] {
  const guest = addresses.guest.map((ip): LabelledAddress => {
    const told = seen.leased.includes(ip) ? "dhcp" : "plan";
    return { ip, owner: "guest", source: seen.agentAddresses.includes(ip) ? "guest-agent" : told };
  });
  const more = seen.agentAddresses.filter((ip) => !addresses.guest.includes(ip));
  return [
    ...addresses.pod.map((ip): LabelledAddress => ({ ip, owner: "pod", source: "cni" })),
    ...guest,
    ...more.map((ip): LabelledAddress => ({ ip, owner: "guest", source: "guest-agent" })),
  ];
}
