/** The instances that manifests lead to, with every default filled in: VMIs as they are, VMs as controllers do it. */
import { effectiveVmiSpec, vmiFromVm } from "../../api/defaults.ts";
import type { KubeObject } from "../../api/object.ts";
import type { VirtualMachine, Vmi } from "../../api/types.ts";
import { isMachine } from "./objects.ts";
import { SETTINGS } from "./settings.ts";

export function vmisOf(objects: readonly KubeObject[]): readonly Vmi[] {
  return objects.filter(isMachine).map((object) => {
    const vmi = object.kind === "VirtualMachine" ? vmiFromVm(object as VirtualMachine) : (object as Vmi);
    return { ...vmi, spec: effectiveVmiSpec(vmi.spec, SETTINGS) };
  });
}
