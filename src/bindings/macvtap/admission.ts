/**
 * Who may ask for macvtap, and where: C3 of KubeVirt, which dropped it in v1.3 and left it to a plugin of that
 * name. Up to v1.2 KubeVirt refused it on the pod network; podtap wires it there, too.
 */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const macvtapAdmission: BindingAdmission = {
  method: "macvtap",
  spelledBy: "name",
  old: {
    key: "macvtap",
    code: "PT-C-3",
    message: "Macvtap network binding has been discontinued since v1.3",
    gate: "Macvtap",
  },
  title: "Macvtap",
  networks: "any",
  strictNetworks: "multus",
  states: ["up", "down"],
  ports: "informative",
  portRanges: "no",
  dhcpOptions: true,
  resourceClaims: false,
};
