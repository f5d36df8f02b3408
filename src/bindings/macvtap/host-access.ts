/**
 * Host and guest on one interface of the host: macvlan keeps them apart, unless the host takes a place of its own
 * beside the guest's, with a route to the guest's address. Only where asked for, for it changes the host's network.
 */
import { HOST_ACCESS_ANNOTATION } from "../../api/annotations.ts";
import { hexHash } from "../../base/names.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NicContext, NicSpec } from "../../plan/binding.ts";
import { wiringMac } from "../../plan/parts/pod-address-services.ts";
import type { HostLinkPlan, NicPlan } from "../../plan/plan.ts";
import { passesPodNic } from "./mode.ts";

export function wantsHostAccess({ annotations }: NicSpec): boolean {
  return annotations[HOST_ACCESS_ANNOTATION] === "true";
}

/** undefined: not asked for, or the host reaches the guest through the pod's veth anyway. */
export function hostLinkOf(
  nic: NicContext,
  mode: string,
  { mac, addresses }: Pick<NicPlan, "mac" | "addresses">,
): Result<HostLinkPlan | undefined> {
  if (!wantsHostAccess(nic) || passesPodNic(nic)) return ok(undefined);
  if (mode !== "bridge") return failed(refusal(nic, `mode ${mode} lets no neighbour on the device through`));
  if (nic.master === undefined) {
    return failed(refusal(nic, `network ${nic.network.name} does not say on which link of the host it is`));
  }
  if (addresses.guest.length === 0) {
    return failed(
      refusal(nic, "the guest's address is the network's to give, and the host needs a route to it"),
    );
  }
  return ok({
    name: `pth${hexHash(`${nic.vm.uid}/${nic.interface.name}`).slice(0, 11)}`,
    lower: nic.master,
    mac: wiringMac(nic, "host"),
    mtu: nic.podLink.mtu,
    guestMac: mac,
    reaches: addresses.guest,
  });
}

function refusal({ field }: NicSpec, why: string): Problem {
  return {
    code: "PT-MACVTAP-3",
    severity: "error",
    reason: "FieldValueNotSupported",
    field,
    message: `the host cannot be given access to this guest: ${why}`,
    hint: `a macvlan network with IPAM, a master and mode bridge can; or leave out ${HOST_ACCESS_ANNOTATION}`,
  };
}
