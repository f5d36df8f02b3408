/** Admission of a VMI's metadata, its own or a template's: R5 and R10, labels, podtap's annotations. */
import { checkAnnotations } from "../annotations.ts";
import { errorAt, type Finding } from "../finding.ts";
import { formatPath } from "../path.ts";
import { gateIsOn } from "../settings.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";

const HOOK_SIDECARS = "hooks.kubevirt.io/hookSidecars";
const RESERVED = [
  "created-by",
  "migrationJobUID",
  "nodeName",
  "migrationTargetNodeName",
  "schedulable",
  "install-strategy",
].map((name) => `kubevirt.io/${name}`);

/** R5. */
export function hookSidecarsGate(vmi: SpecContext): readonly Finding[] {
  const value = Object.hasOwn(vmi.annotations, HOOK_SIDECARS) ? vmi.annotations[HOOK_SIDECARS] : "";
  if (value === "" || gateIsOn(vmi.settings, "Sidecar")) return [];
  const field = formatPath([...vmi.metadataPath, "annotations"]);
  const message = `sidecar feature gate is not enabled in kubevirt-config, invalid entry ${field}.${HOOK_SIDECARS}`;
  const hint = "Remove the annotation, or switch the gate Sidecar on.";
  const at = [...vmi.metadataPath, "annotations", HOOK_SIDECARS];
  return [errorAt({ code: "PT-REL-5", at, field, message, hint })];
}

/** R10. */
export function reservedLabels(vmi: SpecContext): readonly Finding[] {
  const used = RESERVED.filter((label) => Object.hasOwn(vmi.labels, label));
  const first = used[0];
  if (first === undefined) return [];
  const labels = [...vmi.metadataPath, "labels"];
  return [
    errorAt({
      code: "PT-REL-10",
      at: [...labels, first],
      field: formatPath(labels),
      reason: "FieldValueNotSupported",
      message: "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
      hint: `Remove ${used.join(", ")}.`,
    }),
  ];
}

export function podtapAnnotations(vmi: SpecContext): readonly Finding[] {
  return checkAnnotations(vmi.annotations, vmi.metadataPath);
}

export const METADATA_RULES: readonly SpecRule[] = [hookSidecarsGate, reservedLabels, podtapAnnotations];
