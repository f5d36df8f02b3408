/**
 * Volumes that name a cluster's storage, where the same files say what is on it: a DataVolume of a container image, an
 * empty one, a claim that nothing fills. podtap keeps no storage, so such a volume becomes the disk that the guest finds
 * at first, and lasts as long as the VMI. What is on any other claim only the cluster knows.
 */
import { type Finding, warningAt } from "./finding.ts";
import type { KubeObject } from "./object.ts";
import type { Path } from "./path.ts";
import { isQuantity } from "./quantity.ts";
import { isPlainObject } from "./structure.ts";
import type { VolumeSpec } from "./types.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The disk in place of a claim or DataVolume. */
type Disk = Pick<VolumeSpec, "containerDisk"> | Pick<VolumeSpec, "emptyDisk">;

interface Named {
  readonly kind: "DataVolume" | "PersistentVolumeClaim";
  readonly name: string;
  readonly spec: Fields;
  readonly object?: KubeObject;
}

export interface Filled {
  readonly volumes: readonly VolumeSpec[];
  readonly findings: readonly Finding[];
  readonly used: readonly KubeObject[];
}

/** `templates`: the VM's own `dataVolumeTemplates`; `at`: the place of the list of volumes. */
export function fillVolumes(
  volumes: readonly VolumeSpec[],
  templates: unknown,
  objects: readonly KubeObject[],
  namespace: string,
  at: Path,
): Filled {
  const known = [...templatesOf(templates), ...objects.flatMap((object) => storageOf(object, namespace))];
  const findings: Finding[] = [];
  const used: KubeObject[] = [];
  const filled = volumes.map((volume, i) => {
    const found = sourceOf(volume, known);
    const disk = found && diskOf(found);
    if (found === undefined || disk === undefined) return volume;
    if (found.object !== undefined) used.push(found.object);
    const [source] = Object.keys(volume).filter((key) => key !== "name");
    const kind = Object.keys(disk)[0];
    findings.push(
      warningAt({
        code: "PT-EARLY-61",
        at: [...at, i, source ?? "name"],
        reason: "FieldValueNotSupported",
        message: `${found.kind} ${found.name} is read as ${kind}: what the guest writes to it lasts as long as the VMI`,
        hint: "Copy what is to stay off the guest before it is stopped.",
      }),
    );
    return { name: volume.name, ...disk };
  });
  return { volumes: filled, findings, used };
}

function sourceOf(volume: VolumeSpec, known: readonly Named[]): Named | undefined {
  const fields = volume as unknown as Fields;
  const dataVolume = fieldsOf(fields["dataVolume"])["name"];
  // A DataVolume fills a claim of its own name.
  const claim = dataVolume ?? fieldsOf(fields["persistentVolumeClaim"])["claimName"];
  if (claim === undefined) return undefined;
  return (
    known.find(({ kind, name }) => kind === "DataVolume" && name === claim) ??
    known.find(({ kind, name }) => kind === "PersistentVolumeClaim" && name === claim)
  );
}

function diskOf({ kind, spec }: Named): Disk | undefined {
  if (kind === "PersistentVolumeClaim") {
    const filled = ["dataSource", "dataSourceRef", "volumeName"].some((key) => spec[key] !== undefined);
    return filled ? undefined : emptyDisk(spec);
  }
  const source = fieldsOf(spec["source"]);
  const url = fieldsOf(source["registry"])["url"];
  if (typeof url === "string") {
    const image = /^docker:\/\/(.+)$/.exec(url)?.[1];
    return image === undefined ? undefined : { containerDisk: { image } };
  }
  return isPlainObject(source["blank"]) ? emptyDisk(fieldsOf(spec["storage"] ?? spec["pvc"])) : undefined;
}

function emptyDisk(claim: Fields): Disk | undefined {
  const capacity = fieldsOf(fieldsOf(claim["resources"])["requests"])["storage"];
  const sized = (typeof capacity === "string" || typeof capacity === "number") && isQuantity(capacity);
  return sized ? { emptyDisk: { capacity: String(capacity) } } : undefined;
}

function templatesOf(templates: unknown): readonly Named[] {
  if (!Array.isArray(templates)) return [];
  return templates.flatMap((template) => {
    const name = fieldsOf(fieldsOf(template)["metadata"])["name"];
    return typeof name === "string"
      ? [{ kind: "DataVolume" as const, name, spec: fieldsOf(fieldsOf(template)["spec"]) }]
      : [];
  });
}

function storageOf(object: KubeObject, namespace: string): readonly Named[] {
  const { kind, metadata } = object;
  if (kind !== "DataVolume" && kind !== "PersistentVolumeClaim") return [];
  // One without metadata is reported, and goes on.
  if (metadata === undefined || (metadata.namespace || "default") !== namespace) return [];
  return [{ kind, name: metadata.name, spec: fieldsOf(object.spec), object }];
}

function fieldsOf(value: unknown): Fields {
  return isPlainObject(value) ? value : {};
}
