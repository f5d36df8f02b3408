/**
 * Objects that stand for several VMs, read as those: a VirtualMachineInstanceReplicaSet, a VirtualMachinePool. They get
 * the names that a pool's VMs have on a cluster. Nobody keeps their number afterwards.
 */
import { errorAt, type Finding, warningAt } from "./finding.ts";
import { REPLICATING } from "./kinds.ts";
import type { LoadedObject } from "./load.ts";
import type { KubeObject, ObjectMeta } from "./object.ts";
import type { Path } from "./path.ts";
import { isPlainObject } from "./structure.ts";

/** More on one machine is a typing mistake, or meant badly. */
const MAX_REPLICAS = 100;

interface Template {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: unknown;
}

export interface Unfolded {
  readonly objects: readonly LoadedObject[];
  readonly findings: readonly Finding[];
}

/** Undefined for an object that stands for itself. */
export function unfoldReplicas(loaded: LoadedObject): Unfolded | undefined {
  const { object } = loaded;
  const kind = REPLICATING.get(object.kind);
  if (kind === undefined) return undefined;
  const spec: Readonly<Record<string, unknown>> = isPlainObject(object.spec) ? object.spec : {};
  const count = typeof spec["replicas"] === "number" ? spec["replicas"] : 1;
  const field = kind === "VirtualMachine" ? "virtualMachineTemplate" : "template";
  const template = spec[field];
  const name = object.metadata?.name;
  if (!isPlainObject(template) || typeof name !== "string") return { objects: [], findings: [] };
  if (!(count >= 0 && count <= MAX_REPLICAS)) {
    const message = `${count} replicas; podtap makes 0 to ${MAX_REPLICAS}`;
    const at = ["spec", "replicas"];
    return {
      objects: [],
      findings: [errorAt({ code: "PT-EARLY-63", at, message, hint: "Write a small number." })],
    };
  }
  const names = Array.from({ length: count }, (_, i) => `${name}-${i}`);
  const message = `read as ${count} of ${kind}${count > 0 ? `, named ${name}-0 and so on` : ""}; podtap does not keep their number`;
  const hint =
    "Of one that ends no other is made, and fewer replicas in the file remove none: `podtap down NAME` does.";
  return {
    objects: names.map((one, i) => copyOf(loaded, kind, one, template, ["spec", field], i > 0)),
    findings: [
      warningAt({ code: "PT-EARLY-63", at: ["kind"], reason: "FieldValueNotSupported", message, hint }),
    ],
  };
}

function copyOf(
  { object, file, ruined, locate }: LoadedObject,
  kind: string,
  name: string,
  { metadata = {}, spec }: Template,
  place: Path,
  repeated: boolean,
): LoadedObject {
  const { namespace } = object.metadata;
  const copy: KubeObject = {
    apiVersion: "kubevirt.io/v1",
    kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(metadata.labels !== undefined && { labels: metadata.labels }),
      ...(metadata.annotations !== undefined && { annotations: metadata.annotations }),
    },
    spec,
  };
  const inTemplate = (path: Path): Path =>
    path[0] === "metadata" && path[1] === "name" ? path : [...place, ...path];
  return {
    object: copy,
    file,
    ruined: ruined.flatMap((path) =>
      place.every((part, i) => path[i] === part) ? [path.slice(place.length)] : [],
    ),
    locate: (path) => locate(inTemplate(path)),
    ...(repeated && { repeated }),
  };
}
