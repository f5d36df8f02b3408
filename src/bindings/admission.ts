/** Every binding that a manifest can ask for, wired or not; of those that fit, the first is the one advised. */
import type { BindingAdmission } from "../api/binding-admission.ts";
import { bridgeAdmission } from "./bridge/admission.ts";
import { macvtapAdmission } from "./macvtap/admission.ts";
import { managedTapAdmission } from "./managed-tap/admission.ts";
import { masqueradeAdmission } from "./masquerade/admission.ts";
import { passtAdmission } from "./passt/admission.ts";
import { slirpAdmission } from "./slirp/admission.ts";
import { sriovAdmission } from "./sriov/admission.ts";
import { tcRedirectAdmission } from "./tc-redirect/admission.ts";

export const KNOWN_BINDINGS: readonly BindingAdmission[] = [
  masqueradeAdmission,
  bridgeAdmission,
  sriovAdmission,
  slirpAdmission,
  passtAdmission,
  macvtapAdmission,
  managedTapAdmission,
  tcRedirectAdmission,
];
