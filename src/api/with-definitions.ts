/**
 * VMs with what the other objects of their files say worked in: instancetypes, preferences, what is on a volume; and
 * sets of VMs as the VMs they stand for. Those objects are done with then; podtap keeps none.
 */
import type { Problem } from "../base/problem.ts";
import { type Filled, fillVolumes } from "./cluster-storage.ts";
import { type Finding, warningAt } from "./finding.ts";
import { expandVm } from "./instancetypes.ts";
import { isDefinition } from "./kinds.ts";
import { type LoadedObject, labelOf, toProblem } from "./load.ts";
import type { KubeObject } from "./object.ts";
import type { Path } from "./path.ts";
import { unfoldReplicas } from "./replicas.ts";
import type { Settings } from "./settings.ts";
import type { VirtualMachine, Vmi, VmiSpec } from "./types.ts";

export interface Worked {
  readonly objects: readonly LoadedObject[];
  readonly problems: readonly Problem[];
}

export function withDefinitions(loaded: readonly LoadedObject[], settings: Settings): Worked {
  const definitions = loaded.filter(({ object }) => isDefinition(object.kind));
  const kubeObjects = definitions.map(({ object }) => object);
  const used = new Set<KubeObject>();
  const problems: Problem[] = [];
  const say = (one: LoadedObject, found: readonly Finding[]): void => {
    problems.push(...found.map((finding) => toProblem(finding, labelOf(one.object.kind, one.object), one)));
  };
  const single = loaded
    .filter((one) => !definitions.includes(one))
    .flatMap((one) => {
      const unfolded = unfoldReplicas(one);
      say(one, unfolded?.findings ?? []);
      return unfolded?.objects ?? [one];
    });
  const objects = single.map((one) => {
    const { object, findings, uses } = workedIn(one.object, kubeObjects, settings);
    for (const definition of uses) used.add(definition);
    if (one.repeated !== true) say(one, findings);
    return { ...one, object };
  });
  for (const one of definitions) {
    if (!used.has(one.object)) say(one, [unusedDefinition(one.object)]);
  }
  return { objects, problems };
}

interface One {
  readonly object: KubeObject;
  readonly findings: readonly Finding[];
  readonly uses: readonly KubeObject[];
}

/** One object with what `definitions` say of it, and KubeVirt's own instancetypes. */
export function workedIn(object: KubeObject, definitions: readonly KubeObject[], settings: Settings): One {
  if (object.kind === "VirtualMachine") return vmWorkedIn(object as VirtualMachine, definitions, settings);
  const vmi = object as Vmi;
  if (vmi.kind !== "VirtualMachineInstance" || vmi.spec?.volumes === undefined) {
    return { object, findings: [], uses: [] };
  }
  const { volumes, findings, used } = filled(vmi.spec, object, undefined, definitions, ["spec", "volumes"]);
  return { object: { ...object, spec: { ...vmi.spec, volumes } }, findings, uses: used };
}

function vmWorkedIn(written: VirtualMachine, definitions: readonly KubeObject[], settings: Settings): One {
  const { vm, findings, used } = expandVm(written, definitions, settings);
  const spec = vm.spec?.template?.spec;
  if (spec?.volumes === undefined) return { object: vm, findings, uses: used };
  const at = ["spec", "template", "spec", "volumes"];
  const storage = filled(spec, vm, vm.spec.dataVolumeTemplates, definitions, at);
  const { dataVolumeTemplates: _, ...rest } = vm.spec;
  const template = { ...vm.spec.template, spec: { ...spec, volumes: storage.volumes } };
  return {
    object: { ...vm, spec: { ...rest, template } },
    findings: [...findings, ...storage.findings],
    uses: [...used, ...storage.used],
  };
}

function filled(
  { volumes = [] }: VmiSpec,
  { metadata }: KubeObject,
  templates: unknown,
  definitions: readonly KubeObject[],
  at: Path,
): Filled {
  return fillVolumes(volumes, templates, definitions, metadata?.namespace || "default", at);
}

function unusedDefinition({ kind }: KubeObject): Finding {
  const message = `no VM of these files takes anything from this ${kind}; it is left out`;
  const hint = "podtap keeps none: it counts for the VMs that are given with it.";
  return warningAt({ code: "PT-MAN-9", at: ["kind"], reason: "FieldValueNotSupported", message, hint });
}
