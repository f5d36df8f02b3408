/**
 * Manifests in; typed, admitted objects and the complete list of problems out. The one entry for the CLI, the
 * API server and (later) the webhook. Pure, and never throws.
 *
 * KubeVirt's admission answers in a fixed order, twice, and ends at the first failing stage; podtap names every
 * problem once, and all of them.
 */
import { isError, type Problem } from "../base/problem.ts";
import { needsDefaultNic, vmiFromVm, withDefaultNic } from "./defaults.ts";
import { errorAt, type Finding } from "./finding.ts";
import { unknownDefinitions } from "./instancetypes.ts";
import {
  checkObject,
  type LoadedObject,
  labelOf,
  loadManifests,
  type ManifestFile,
  toProblem,
} from "./load.ts";
import type { KubeObject, ObjectMeta } from "./object.ts";
import { formatPath, isWithin, type Path } from "./path.ts";
import { advised } from "./rules/binding-methods.ts";
import { labelProblems, objectNames, primaryInterfaceFits } from "./rules/names.ts";
import { otherObjectRules } from "./rules/other-objects.ts";
import { serviceForm, serviceTargets } from "./rules/services.ts";
import type { AdmittedSpec, SpecContext } from "./rules/spec-context.ts";
import { NIC_RULES, OTHER_RULES, STORAGE_RULES } from "./rules/spec-rules.ts";
import { runStrategy, templateIsGiven } from "./rules/vm.ts";
import type { Settings } from "./settings.ts";
import type { Service, VirtualMachine, Vmi } from "./types.ts";
import { withDefinitions, workedIn } from "./with-definitions.ts";

export interface Validated {
  /** In the order of the files; those with errors are there, too, as far as they could be read. */
  readonly objects: readonly LoadedObject[];
  readonly problems: readonly Problem[];
}

export function validateManifests(files: readonly ManifestFile[], settings: Settings): Validated {
  const { objects: loaded, problems } = loadManifests(files, settings.known);
  const { objects, problems: expanding } = withDefinitions(loaded, settings);
  const vmis = objects.flatMap((loaded) => vmiOf(loaded, settings) ?? []);
  const differing = objects.filter(({ repeated }) => repeated !== true);
  const admission = differing.flatMap((loaded) =>
    [...objectFindings(loaded, settings), ...serviceFindings(loaded, vmis, settings)].map((finding) =>
      toProblem(finding, labelOf(loaded.object.kind, loaded.object), loaded),
    ),
  );
  return { objects, problems: [...problems, ...expanding, ...admission, ...repeatedObjects(objects)] };
}

/** One object that is already parsed, as the API server gets it: shape and admission, without positions. */
export function validateObject(object: unknown, settings: Settings): readonly Problem[] {
  return admitObject(object, settings).problems;
}

/** The same, with the object as it may be stored: null fields dropped, as a Kubernetes API server does. */
export function admitObject(
  object: unknown,
  settings: Settings,
): { readonly object?: KubeObject; readonly problems: readonly Problem[] } {
  const { object: shaped, findings, ruined, label } = checkObject(object, settings.known);
  if (shaped === undefined) return { problems: findings.map((finding) => toProblem(finding, label)) };
  // Of instancetypes there are none but KubeVirt's own here.
  const { object: whole, findings: sized } = workedIn(shaped, [], settings);
  const admission = objectFindings({ object: whole, ruined }, settings);
  return {
    object: whole,
    problems: [...findings, ...sized, ...admission].map((finding) => toProblem(finding, label)),
  };
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some(isError);
}

type Shaped = Pick<LoadedObject, "object" | "ruined">;

function objectFindings({ object, ruined }: Shaped, settings: Settings): readonly Finding[] {
  if (object.metadata === undefined) return [];
  const findings = [...objectNames(object), ...kindFindings({ object, ruined }, settings)];
  return findings.filter(({ at }) => !ruined.some((place) => explains(place, at)));
}

/** A value that was dropped explains what rules say about its place and about the thing it was part of. */
function explains(ruined: Path, at: Path): boolean {
  return isWithin(ruined, at) || (ruined.length === at.length + 1 && isWithin(at, ruined));
}

function kindFindings({ object, ruined }: Shaped, settings: Settings): readonly Finding[] {
  if (
    object.spec === undefined &&
    ["VirtualMachine", "VirtualMachineInstance", "Service"].includes(object.kind)
  ) {
    return [];
  }
  if (object.kind === "VirtualMachineInstance") {
    const { metadata, spec, status } = object as Vmi;
    const findings = specFindings(spec, ["spec"], metadata, ["metadata"], ruined, settings);
    const network = (spec.networks ?? []).find(
      ({ pod, multus }) => pod !== undefined || multus?.default === true,
    );
    return [...findings, ...primaryInterfaceFits(status, network?.name ?? "default")];
  }
  if (object.kind === "VirtualMachine") {
    const { spec } = object as VirtualMachine;
    const outer = [
      ...runStrategy(spec, settings),
      ...templateIsGiven(spec),
      ...unknownDefinitions(object as VirtualMachine),
    ];
    if (spec.template?.spec === undefined) return outer;
    const { metadata = {}, spec: inner } = spec.template;
    const metadataPath = ["spec", "template", "metadata"];
    return [
      ...outer,
      ...labelProblems(metadata, metadataPath),
      ...specFindings(inner, ["spec", "template", "spec"], metadata, metadataPath, ruined, settings),
    ];
  }
  return object.kind === "Service" ? serviceForm(object as Service) : otherObjectRules(object);
}

function specFindings(
  written: AdmittedSpec,
  path: Path,
  metadata: Partial<ObjectMeta>,
  metadataPath: Path,
  ruined: readonly Path[],
  settings: Settings,
): readonly Finding[] {
  if (written.domain?.devices === undefined) return [];
  const lost = (...list: string[]): boolean => ruined.some((place) => isWithin(place, [...path, ...list]));
  const nicsLost = lost("networks") || lost("domain", "devices", "interfaces");
  const disksLost = lost("volumes") || lost("domain", "devices", "disks");
  const context: SpecContext = {
    spec: nicsLost ? written : withDefaultNic(written, settings),
    path,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    metadataPath,
    settings,
  };
  const refused = nicsLost ? [] : defaultNicRefused(written, path, settings);
  const rules = [
    ...(nicsLost || refused.length > 0 ? [] : NIC_RULES),
    ...(disksLost ? [] : STORAGE_RULES),
    ...OTHER_RULES,
  ];
  return [...refused, ...rules.flatMap((rule) => rule(context))];
}

/** KubeVirt's answer when the configuration forbids what the default NIC would be. */
function defaultNicRefused(spec: AdmittedSpec, path: Path, settings: Settings): readonly Finding[] {
  const { defaultBinding, offPodNetwork } = settings;
  if (!needsDefaultNic(spec) || !offPodNetwork.includes(defaultBinding)) return [];
  const at = [...path, "domain", "devices"];
  const message = `${defaultBinding} interface is not enabled in kubevirt-config`;
  const hint = `Name the NIC: interfaces: [{name: default, ${advised("pod", settings)}}], networks: [{name: default, pod: {}}].`;
  return [errorAt({ code: "PT-EARLY-48", at, message, hint })];
}

/** The VMI that runs of an object, for Services to find. */
function vmiOf({ object }: LoadedObject, settings: Settings): Vmi | undefined {
  const vmi = object.kind === "VirtualMachineInstance" ? (object as Vmi) : templateOf(object);
  if (vmi?.spec?.domain?.devices === undefined || typeof vmi.metadata?.name !== "string") return undefined;
  return { ...vmi, spec: withDefaultNic(vmi.spec, settings) };
}

function templateOf(object: KubeObject): Vmi | undefined {
  const vm = object as VirtualMachine;
  const usable =
    vm.kind === "VirtualMachine" && vm.metadata?.name !== undefined && vm.spec?.template?.spec !== undefined;
  return usable ? vmiFromVm(vm) : undefined;
}

function serviceFindings(
  { object, ruined }: LoadedObject,
  vmis: readonly Vmi[],
  settings: Settings,
): readonly Finding[] {
  if (object.kind !== "Service" || object.spec === undefined || object.metadata === undefined) return [];
  const findings = serviceTargets(object as Service, vmis, settings);
  return findings.filter(({ at }) => !ruined.some((place) => explains(place, at)));
}

/** PT-EARLY-17. A VM makes a VMI of its own name, so the two share one name space. */
function repeatedObjects(objects: readonly LoadedObject[]): readonly Problem[] {
  const seen = new Map<string, LoadedObject>();
  return objects.flatMap((loaded) => {
    const { kind, metadata } = loaded.object;
    if (metadata?.name === undefined) return [];
    const group = kind === "VirtualMachine" ? "VirtualMachineInstance" : kind;
    const key = `${group}/${metadata.namespace || "default"}/${metadata.name}`;
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, loaded);
      return [];
    }
    const at = ["metadata", "name"];
    const { line } = first.locate(at);
    const message = `${labelOf(first.object.kind, first.object)} is already defined in ${first.file}, line ${line}`;
    const hint = "Rename one of the two, or put them in different namespaces.";
    const finding = errorAt({ code: "PT-EARLY-17", at, reason: "FieldValueDuplicate", message, hint });
    return [toProblem({ ...finding, field: formatPath(at) }, labelOf(kind, loaded.object), loaded)];
  });
}
