/**
 * NICs that cannot be the port of a bridge. The kernel accepts most of them, and then nothing passes: a macvlan hears
 * frames to its own MAC only, and the guest has another one by then. What to take instead, bindings say.
 */
import type { Problem } from "../../base/problem.ts";
import type { NicSpec } from "../binding.ts";

const OWN_MAC_ONLY = "it delivers frames to its own MAC only";
const SHARED_MAC = "it shares the MAC of the link below";
/** By link kind and by CNI plugin, which have the same names. */
const DEAF: Readonly<Record<string, string>> = {
  macvlan: OWN_MAC_ONLY,
  macvtap: OWN_MAC_ONLY,
  ipvlan: SHARED_MAC,
  ipvtap: SHARED_MAC,
};
/** Names that systemd and the kernel give to wireless NICs. */
const WIRELESS = /^(wl|wlan)/;

/**
 * @param kind of the pod NIC, where it is there already
 * @param hint what to take instead
 */
export function unbridgeable(nic: NicSpec, hint: string, kind?: string): Problem | undefined {
  const deaf = [kind, nic.plugins?.[0]].find((name) => name !== undefined && Object.hasOwn(DEAF, name));
  if (deaf !== undefined) {
    const message = `network ${nic.network.name} gives the pod an interface of kind ${deaf}, which cannot be bridged: ${DEAF[deaf]}`;
    return refusal(nic, message, hint);
  }
  if (nic.plugins?.[0] === "host-device" && nic.master !== undefined && WIRELESS.test(nic.master)) {
    const message = `${nic.master} is wireless and cannot be bridged: an access point takes frames from the station's own MAC only`;
    return refusal(nic, message, hint);
  }
  return undefined;
}

export function noMac(nic: NicSpec, hint: string): Problem {
  const message = `the pod interface of network ${nic.network.name} has no MAC address that the guest could take`;
  return refusal(nic, message, hint);
}

export function noServerAddress(nic: NicSpec): Problem {
  return {
    code: "PT-BRIDGE-2",
    severity: "error",
    reason: "FieldValueInvalid",
    field: nic.field,
    message: "only the first 100 interfaces have an address for their DHCP server (169.254.75.1<index>)",
    hint: "move interfaces that need podtap's DHCP to the front",
  };
}

function refusal(nic: NicSpec, message: string, hint: string): Problem {
  return {
    code: "PT-BRIDGE-1",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: nic.field,
    message,
    hint,
  };
}
