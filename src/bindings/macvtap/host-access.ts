/**
 * Host and guest on one interface of the host: macvlan keeps them apart, unless the host takes a place of its own
 * beside the guest's, with a route to the guest's address. Only where asked for, for it changes the host's network.
 */
import { DHCP_ANNOTATION, HOST_ACCESS_ANNOTATION } from "../../api/annotations.ts";
import { hexHash } from "../../base/names.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NicContext, NicSpec } from "../../plan/binding.ts";
import { wiringMac } from "../../plan/parts/pod-address-services.ts";
import type { HostLinkPlan, NicPlan } from "../../plan/plan.ts";
import { passesPodNic, wantedMode } from "./mode.ts";

export function wantsHostAccess({ annotations }: NicSpec): boolean {
  return annotations[HOST_ACCESS_ANNOTATION] === "true";
}

/**
 * undefined: not asked for, or the host reaches the guest through the pod's veth anyway.
 *
 * An address that the LAN's server gives is not taken from what the guest says: it could name the host's gateway, and
 * have the host's traffic.
 */
export function hostLinkOf(
  nic: NicContext,
  mode: string,
  { mac, addresses }: Pick<NicPlan, "mac" | "addresses">,
): Result<HostLinkPlan | undefined> {
  if (!wantsHostAccess(nic) || passesPodNic(nic)) return ok(undefined);
  const { master } = nic;
  if (mode !== "bridge") return failed(notInMode(nic, mode));
  if (master === undefined) return failed(noMaster(nic));
  if (addresses.guest.length === 0) {
    const why = "the host needs a route to the guest's address, which is the network's to give";
    const ipam = isExternal(nic)
      ? `leave out ${DHCP_ANNOTATION}`
      : 'give the network IPAM ("host-local" with a range that the LAN\'s DHCP server leaves alone, or "static")';
    return failed(refusal(nic, why, `${ipam}, ${INSTEAD}`));
  }
  return ok({
    name: `pth${hexHash(`${nic.vm.uid}/${nic.interface.name}`).slice(0, 11)}`,
    lower: master,
    mac: wiringMac(nic, "host"),
    mtu: nic.podLink.mtu,
    guestMac: mac,
    reaches: addresses.guest,
  });
}

/** As far as the network's configuration tells. */
export function hostAccessProblems(nic: NicSpec): readonly Problem[] {
  if (!wantsHostAccess(nic) || nic.plugins?.[0] !== "macvlan") return [];
  const mode = wantedMode(nic);
  if (mode !== "bridge") return [notInMode(nic, mode)];
  return nic.master === undefined ? [noMaster(nic)] : [];
}

function notInMode(nic: NicSpec, mode: string): Problem {
  return refusal(nic, `mode ${mode} lets no neighbour on the device through`, `use mode bridge, ${INSTEAD}`);
}

function noMaster(nic: NicSpec): Problem {
  const why = `network ${nic.network.name} does not say on which link of the host it is`;
  return refusal(nic, why, `write "master" in its config, ${INSTEAD}`);
}

const INSTEAD = `or add a NIC on the pod network, by which host and guest hear each other, and leave out ${HOST_ACCESS_ANNOTATION}`;

function isExternal({ annotations }: NicSpec): boolean {
  return annotations[DHCP_ANNOTATION] === "external";
}

function refusal({ field }: NicSpec, why: string, hint: string): Problem {
  return {
    code: "PT-MACVTAP-3",
    severity: "error",
    reason: "FieldValueNotSupported",
    field,
    message: `the host cannot be given access to this guest: ${why}`,
    hint,
  };
}
