/**
 * The guest's MAC: the manifest's, else one derived from the VM's name. KubeVirt hands on the pod NIC's, which is
 * drawn anew at every start; guests pin their network configuration to the first one they saw and are dead after
 * a restart (user-pains P1). A derived MAC is the same for ever.
 *
 * A guest that takes the pod's place takes its MAC too: the network knows the pod by it. So CNI is asked for the
 * derived one then, and where its plugin cannot give it, the guest has a new MAC at every start, as in KubeVirt.
 */
import type { InterfaceSpec } from "../../api/types.ts";
import { type Mac, parseMac } from "../../base/mac.ts";
import { hexHash } from "../../base/names.ts";
import type { Binding, NicContext } from "../binding.ts";
import type { NicPlan } from "../plan.ts";

export function guestMac(nic: NicContext): { readonly mac: Mac; readonly macOrigin: NicPlan["macOrigin"] } {
  const wanted = nic.interface.macAddress === undefined ? undefined : parseMac(nic.interface.macAddress);
  if (wanted !== undefined) return { mac: wanted, macOrigin: "spec" };
  return { mac: derivedMac(nic.vm, nic.interface), macOrigin: "derived" };
}

/** What to ask CNI for; undefined where the pod NIC's MAC is nobody's but the pod's. */
export function macForCni(
  vm: { readonly namespace: string; readonly name: string },
  nic: InterfaceSpec,
  { traits }: Binding,
): Mac | undefined {
  const taken = traits.podAddress === "moved" || traits.podAddress === "shared";
  return taken && nic.macAddress === undefined ? derivedMac(vm, nic) : undefined;
}

function derivedMac(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  nic: InterfaceSpec,
): Mac {
  const digits = hexHash(`${namespace}/${name}/${nic.name}`).slice(0, 10);
  // 02: unicast, locally administered (IEEE 802, clause 8).
  return `02:${(digits.match(/../g) ?? []).join(":")}` as Mac;
}

/** undefined: the pod NIC has no MAC and the manifest names none. */
export function podsMac(
  nic: NicContext,
): { readonly mac: Mac; readonly macOrigin: NicPlan["macOrigin"] } | undefined {
  if (nic.interface.macAddress !== undefined) return guestMac(nic);
  const { mac } = nic.podLink;
  return mac === undefined ? undefined : { mac, macOrigin: "pod" };
}
