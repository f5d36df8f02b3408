/** Who may ask for masquerade, and where: KubeVirt's `pkg/network/admitter/binding.go`, rules 12, 13 and 40. */
import { type BindingAdmission, methodField } from "../../api/binding-admission.ts";
import type { InterfaceSpec } from "../../api/types.ts";
import { BRIDGE_MAC } from "../../base/mac.ts";

const CIDR = "cidr";

export const masqueradeAdmission: BindingAdmission = {
  method: "masquerade",
  spelledBy: "key",
  // The seeds' spelling of the private network; KubeVirt has it on the network.
  ownFields: {
    [CIDR]: {
      type: "string",
      instead: "KubeVirt's spelling is networks[].pod.vmNetworkCIDR, or vmIPv6NetworkCIDR.",
    },
  },
  title: "Masquerade",
  networks: "pod",
  networkCode: "PT-NET-12",
  states: ["up", "down"],
  ports: "allow-list",
  portRanges: "strict",
  dhcpOptions: true,
  resourceClaims: false,
  privateNetwork: { field: CIDR },
  reservedMac: BRIDGE_MAC,
};

/** `masquerade.cidr`. */
export function ownCidr(nic: InterfaceSpec): string | undefined {
  const text = methodField(nic, masqueradeAdmission.method, CIDR);
  return typeof text === "string" ? text : undefined;
}
