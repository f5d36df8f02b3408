/**
 * Every field a manifest may have, and what type it is: the generated table of KubeVirt's fields, the core
 * kinds, what the generated one lacks, and the method keys that the bindings say they have. A type is `string`, `text` (a string whose bytes podtap passes on
 * unread), `bool`, `int`, `quantity`, `intstr`, `any`, `none` (an object without fields) or the name of a type;
 * `[]` behind it makes a list, `{}` before it a map.
 */
import { isActedOn } from "./acted-on.ts";
import type { BindingAdmission } from "./binding-admission.ts";
import { CORE_FIELDS } from "./core-fields.ts";
import { KUBEVIRT_FIELDS } from "./kubevirt-fields.gen.ts";

export interface FieldType {
  readonly type: string;
  readonly required: boolean;
}
export type Fields = ReadonlyMap<string, FieldType>;

/**
 * Newer than the package's KubeVirt (up to 1.10), or lost by its generator: quantities in maps and IntOrString.
 * Required keys lose their `!` where a numbered admission rule says the same in KubeVirt's words.
 */
const ADDITIONS: Readonly<Record<string, string>> = {
  VirtualMachineInstanceTemplateSpec: "spec!:VirtualMachineInstanceSpec",
  VirtualMachineInstanceSpec: "utilityVolumes:UtilityVolume[]",
  UtilityVolume: "name!:string claimName!:string readOnly:bool type:string",
  DomainSpec: "rebootPolicy:string",
  CloudInitNoCloudSource: "userData:text networkData:text",
  CloudInitConfigDriveSource: "userData:text networkData:text",
  CoreHTTPGetAction: "port:intstr",
  CoreTCPSocketAction: "port:intstr",
  CoreVolumeResourceRequirements: "limits:{}quantity requests:{}quantity",
  CustomBlockSize: "discardGranularity:int",
  Disk: "changedBlockTracking:bool",
  EmptyDiskSource: "capacity:quantity",
  FeatureHyperv: "tlbflush:TLBFlush",
  TLBFlush: "enabled:bool direct:FeatureState extended:FeatureState",
  Interface: "portRanges:PortRange[]",
  KernelBootContainer: "image:string",
  ContainerDiskSource: "image:string",
  LaunchSecurity: "snp:SEVSNP tdx:none",
  SEVSNP:
    "policy:string vcek:string authorKey:string kernelHashes:string cbitpos:string idBlock:string idAuth:string " +
    "reducedPhysBits:string",
  Memory: "reservedOverhead:ReservedOverhead",
  ReservedOverhead: "addedOverhead:quantity requiresLock:string",
  MultusNetwork: "networkName:string",
  Network: "resourceClaim:NetworkResourceClaim",
  NetworkResourceClaim: "claimName:string requestName:string",
  Port: "port:int",
  PortRange: "protocol:string start:int end:int",
  DHCPPrivateOptions: "option:int",
  CorePodResourceClaim: "name:string",
  ResourceRequirements: "limits:{}quantity requests:{}quantity",
  Volume: "containerPath:ContainerPathVolumeSource",
  ContainerPathVolumeSource: "path!:string readOnly:bool",
  VirtualMachineSpec: "template:VirtualMachineInstanceTemplateSpec",
};

const table = new Map<string, Fields>();
for (const part of [KUBEVIRT_FIELDS, CORE_FIELDS, ADDITIONS]) {
  for (const [name, cells] of Object.entries(part)) {
    table.set(name, new Map([...(table.get(name) ?? []), ...parseCells(cells)]));
  }
}

function parseCells(cells: string): (readonly [string, FieldType])[] {
  return cells
    .split(" ")
    .filter((cell) => cell !== "")
    .map((cell) => {
      const colon = cell.indexOf(":");
      const name = cell.slice(0, colon);
      const required = name.endsWith("!");
      return [required ? name.slice(0, -1) : name, { type: cell.slice(colon + 1), required }];
    });
}

export interface FieldTable {
  /** Undefined when `type` is a scalar. */
  fieldsOf(type: string): Fields | undefined;
  /** Does some part of podtap read this field of this type? */
  isActedOn(type: string, field: string): boolean;
  /** Where under `root` a field of this name belongs, nearest first: for "you put it in the wrong place". */
  placeOfField(field: string, root: string): string | undefined;
}

const NO_FIELDS: Fields = new Map();

/** The table with the method keys of these bindings. */
export function fieldTable(bindings: readonly BindingAdmission[]): FieldTable {
  const methods = bindings.flatMap(methodTypes);
  const more = new Map<string, Fields>(
    methods.flatMap(({ type, fields }) => (fields === undefined ? [] : [[type, fields] as const])),
  );
  more.set("Interface", withMethods(table.get("Interface") ?? NO_FIELDS, methods));
  const keys = new Set(methods.map(({ key }) => key));
  const fieldsOf = (type: string): Fields | undefined =>
    type === "none" ? NO_FIELDS : (more.get(type) ?? table.get(type));
  return {
    fieldsOf,
    isActedOn: (type, field) => isActedOn(type, field) || (type === "Interface" && keys.has(field)),
    placeOfField: (field, root) => placeOfField(field, root, fieldsOf),
  };
}

interface MethodType {
  readonly key: string;
  readonly type: string;
  readonly fields?: Fields;
}

function methodTypes({ method, spelledBy, old, ownFields }: BindingAdmission): readonly MethodType[] {
  const oldKey: readonly MethodType[] = old === undefined ? [] : [{ key: old.key, type: "none" }];
  if (spelledBy === "name") return oldKey;
  if (ownFields === undefined) return [{ key: method, type: "none" }, ...oldKey];
  const fields = new Map(
    Object.entries(ownFields).map(([name, { type }]) => [name, { type, required: false }]),
  );
  return [{ key: method, type: `Interface.${method}`, fields }, ...oldKey];
}

function withMethods(fields: Fields, methods: readonly MethodType[]): Fields {
  return new Map([...fields, ...methods.map(({ key, type }) => [key, { type, required: false }] as const)]);
}

type FieldsOf = FieldTable["fieldsOf"];

function placeOfField(field: string, root: string, fieldsOf: FieldsOf): string | undefined {
  const seen = new Set<string>();
  let level: readonly Place[] = [{ type: root, path: "" }];
  while (level.length > 0) {
    const fresh = level.filter(({ type }) => !seen.has(type));
    for (const { type } of fresh) seen.add(type);
    const next = fresh.flatMap((place) => placesInside(place, fieldsOf));
    const found = next.find(({ path }) => path === field || path.endsWith(`.${field}`));
    if (found !== undefined) return found.path;
    level = next.map(({ type, path }) => ({
      type: type.replace(/^\{\}|\[\]$/g, ""),
      path: type.endsWith("[]") ? `${path}[]` : path,
    }));
  }
  return undefined;
}

interface Place {
  readonly type: string;
  readonly path: string;
}

function placesInside({ type, path }: Place, fieldsOf: FieldsOf): readonly Place[] {
  return [...(fieldsOf(type) ?? [])].map(([name, inner]) => ({
    type: inner.type,
    path: path === "" ? name : `${path}.${name}`,
  }));
}
