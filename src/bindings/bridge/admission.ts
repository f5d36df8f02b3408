/**
 * Who may ask for the bridge binding, and where: any network, unless the configuration keeps it off the pod's
 * (rule 14). The one binding whose NIC may be unplugged (rule 9).
 */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const bridgeAdmission: BindingAdmission = {
  method: "bridge",
  spelledBy: "key",
  title: "Bridge",
  networks: "any",
  states: ["up", "down", "absent"],
  ports: "informative",
  portRanges: "no",
  dhcpOptions: true,
  resourceClaims: false,
};
