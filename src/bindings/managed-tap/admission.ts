/** Who may ask for managed-tap: KubeVirt's plugin with `domainAttachmentType: managedTap`, on any network. */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const managedTapAdmission: BindingAdmission = {
  method: "managed-tap",
  spelledBy: "name",
  names: ["managedtap"],
  title: "Managed tap",
  networks: "any",
  states: ["up", "down"],
  ports: "informative",
  portRanges: "no",
  // The network answers the guest.
  dhcpOptions: false,
  resourceClaims: false,
};
