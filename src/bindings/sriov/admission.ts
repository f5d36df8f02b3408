/** Who may ask for an SR-IOV NIC: rules 8 and 20 of KubeVirt. podtap does not wire it yet. */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const sriovAdmission: BindingAdmission = {
  method: "sriov",
  spelledBy: "key",
  title: "SR-IOV",
  networks: "any",
  // The link is the network card's own.
  states: [],
  ports: "informative",
  portRanges: "no",
  dhcpOptions: false,
  resourceClaims: true,
};
