/**
 * The guest's MAC: the manifest's, else one derived from the VM's name. KubeVirt hands on the pod NIC's, which is
 * drawn anew at every start; guests pin their network configuration to the first one they saw and are dead after
 * a restart (user-pains P1). A derived MAC is the same for ever.
 *
 * A guest that takes the pod's place takes its MAC too: the network knows the pod by it.
 */
import { type Mac, parseMac } from "../../base/mac.ts";
import { hexHash } from "../../base/names.ts";
import type { NicContext } from "../binding.ts";
import type { NicPlan } from "../plan.ts";

export function guestMac(nic: NicContext): { readonly mac: Mac; readonly macOrigin: NicPlan["macOrigin"] } {
  const wanted = nic.interface.macAddress === undefined ? undefined : parseMac(nic.interface.macAddress);
  if (wanted !== undefined) return { mac: wanted, macOrigin: "spec" };
  const digits = hexHash(`${nic.vm.namespace}/${nic.vm.name}/${nic.interface.name}`).slice(0, 10);
  // 02: unicast, locally administered (IEEE 802, clause 8).
  return { mac: `02:${(digits.match(/../g) ?? []).join(":")}` as Mac, macOrigin: "derived" };
}

/** undefined: the pod NIC has no MAC and the manifest names none. */
export function podsMac(
  nic: NicContext,
): { readonly mac: Mac; readonly macOrigin: NicPlan["macOrigin"] } | undefined {
  if (nic.interface.macAddress !== undefined) return guestMac(nic);
  const { mac } = nic.podLink;
  return mac === undefined ? undefined : { mac, macOrigin: "pod" };
}
