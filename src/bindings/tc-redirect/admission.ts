/** Who may ask for tc-redirect: to KubeVirt a network binding plugin like any other, on any network. */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const tcRedirectAdmission: BindingAdmission = {
  method: "tc-redirect",
  spelledBy: "name",
  title: "tc redirect",
  networks: "any",
  states: ["up", "down"],
  ports: "informative",
  portRanges: "no",
  dhcpOptions: true,
  resourceClaims: false,
};
