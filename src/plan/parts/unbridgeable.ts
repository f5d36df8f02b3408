/**
 * NICs that cannot be the port of a bridge, and what to take instead. The kernel accepts most of them, and then
 * nothing passes: a macvlan hears frames to its own MAC only, and the guest has another one by then.
 */
import type { Problem } from "../../base/problem.ts";
import type { NicSpec } from "../binding.ts";

/** By link kind and by CNI plugin, which have the same names. */
const DEAF: ReadonlyMap<string, string> = new Map([
  ["macvlan", "a macvlan delivers frames to its own MAC only"],
  ["macvtap", "a macvtap delivers frames to its own MAC only"],
  ["ipvlan", "an ipvlan shares the MAC of the link below and cannot be a bridge port"],
  ["ipvtap", "an ipvtap shares the MAC of the link below and cannot be a bridge port"],
]);
/** Names that systemd and the kernel give to wireless NICs. */
const WIRELESS = /^(wl|wlan)/;

/** @param kind of the pod NIC, where it is there already */
export function unbridgeable(nic: NicSpec, kind?: string): Problem | undefined {
  const deaf = [kind, nic.plugins?.[0]].find((name) => name !== undefined && DEAF.has(name));
  if (deaf !== undefined) {
    return refusal(
      nic,
      `network ${nic.network.name} gives the pod an interface that cannot be bridged: ${DEAF.get(deaf)}`,
      "ask for `binding: {name: tc-redirect}` or `binding: {name: macvtap}`, or use CNI's bridge plugin in the network",
    );
  }
  if (nic.plugins?.[0] === "host-device" && nic.master !== undefined && WIRELESS.test(nic.master)) {
    return refusal(
      nic,
      `${nic.master} is wireless: an access point takes frames from the station's own MAC only`,
      "use masquerade on the pod network, or a wired interface",
    );
  }
  return undefined;
}

export function noMac(nic: NicSpec): Problem {
  return refusal(
    nic,
    `the pod interface of network ${nic.network.name} has no MAC address that the guest could take`,
    "a bridge joins Ethernet links only; for others use masquerade or passt",
  );
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
