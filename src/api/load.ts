/**
 * Manifest files to objects: YAML or JSON, several documents a file, lists unfolded. Checks shape only (known
 * kinds, known fields, types); admission is validate.ts. Never throws: whatever is wrong with a file is a
 * problem with file, line and column.
 */
import type { Problem } from "../base/problem.ts";
import type { BindingAdmission } from "./binding-admission.ts";
import { type FieldTable, fieldTable } from "./field-table.ts";
import { errorAt, type Finding, warningAt } from "./finding.ts";
import { currentVersion, judgeKind } from "./kinds.ts";
import type { KubeObject } from "./object.ts";
import type { Path } from "./path.ts";
import { checkStructure, isPlainObject } from "./structure.ts";
import { readYaml, type TextPosition, type YamlDocument } from "./yaml-source.ts";

const MAX_TEXT = 1000;

export interface ManifestFile {
  readonly name: string;
  readonly text: string;
}

export interface LoadedObject {
  /** Of the right shape: what had none is left out, and is in `problems`. */
  readonly object: KubeObject;
  readonly file: string;
  /** Places whose value was wrong and is left out of `object`. */
  readonly ruined: readonly Path[];
  /** The same as the one before it, but for the name. */
  readonly repeated?: boolean;
  /** The place of a path of `object` in the file, or of the nearest parent that is there. */
  locate(path: Path): TextPosition;
}

export interface Loaded {
  readonly objects: readonly LoadedObject[];
  readonly problems: readonly Problem[];
}

/** `bindings`: those whose method keys an interface may have. */
export function loadManifests(files: readonly ManifestFile[], bindings: readonly BindingAdmission[]): Loaded {
  const table = fieldTable(bindings);
  const objects: LoadedObject[] = [];
  const problems: Problem[] = [];
  for (const file of files) {
    const { documents, problems: unreadable } = readYaml(file.text);
    for (const { line, column, ...problem } of unreadable) {
      problems.push({
        reason: "FieldValueInvalid",
        field: "",
        ...problem,
        at: { file: file.name, line, column },
      });
    }
    for (const document of documents) {
      for (const part of unfold(document.value, [])) {
        const loaded = loadObject(part.value, part.path, document, file.name, table);
        problems.push(...loaded.problems);
        if (loaded.object !== undefined) objects.push(loaded.object);
      }
    }
  }
  return { objects, problems };
}

/** An object that somebody else has parsed, as an API server's request body. */
export function checkObject(value: unknown, bindings: readonly BindingAdmission[]): Shape {
  return shapeOf(value, () => false, fieldTable(bindings));
}

interface Part {
  readonly value: unknown;
  readonly path: Path;
}

/** `kind: List`, and typed lists as `kubectl get -o yaml` of older clusters prints them. */
function unfold(value: unknown, path: Path): readonly Part[] {
  if (value === null || value === undefined) return [];
  if (isPlainObject(value) && typeof value["kind"] === "string" && value["kind"].endsWith("List")) {
    const items = value["items"];
    if (Array.isArray(items)) return items.map((item, i) => ({ value: item, path: [...path, "items", i] }));
  }
  return [{ value, path }];
}

function loadObject(
  value: unknown,
  root: Path,
  document: YamlDocument,
  file: string,
  table: FieldTable,
): { readonly object?: LoadedObject; readonly problems: readonly Problem[] } {
  const locate = (path: Path): TextPosition => document.locate([...root, ...path]);
  const shape = shapeOf(value, (path) => document.isPlain([...root, ...path]), table);
  const problems = shape.findings.map((finding) => toProblem(finding, shape.label, { file, locate }));
  if (shape.object === undefined) return { problems };
  return { object: { object: asWritten(shape.object), file, ruined: shape.ruined, locate }, problems };
}

/** What a cluster adds to the objects it keeps: in a file from `kubectl get -o yaml`, another cluster's business. */
const CLUSTERS_OWN = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "selfLink",
  "managedFields",
  "ownerReferences",
  "finalizers",
];

function asWritten(object: KubeObject): KubeObject {
  const { status: _, metadata, ...rest } = object;
  if (!isPlainObject(metadata)) return object;
  const own = Object.entries(metadata).filter(([field]) => !CLUSTERS_OWN.includes(field));
  return { ...rest, metadata: Object.fromEntries(own) as unknown as KubeObject["metadata"] };
}

interface Shape {
  readonly object?: KubeObject;
  readonly label?: string;
  readonly findings: readonly Finding[];
  readonly ruined: readonly Path[];
}

function shapeOf(value: unknown, isPlain: (path: Path) => boolean, table: FieldTable): Shape {
  if (!isPlainObject(value)) {
    const message = "this document is no map, so it is no Kubernetes object";
    const hint = "A manifest begins with `apiVersion:` and `kind:`.";
    return { findings: [errorAt({ code: "PT-MAN-3", at: [], message, hint })], ruined: [[]] };
  }
  const { apiVersion, kind } = value;
  if (typeof apiVersion !== "string" || typeof kind !== "string" || apiVersion === "" || kind === "") {
    return { findings: [noKind(value)], ruined: [[]] };
  }
  const verdict = judgeKind(apiVersion, kind);
  const named = labelOf(kind, value);
  if (!verdict.acted) {
    const make = verdict.severity === "error" ? errorAt : warningAt;
    const { code, message, hint, field } = verdict;
    const finding = make({ code, at: [field], reason: "FieldValueNotSupported", message, hint });
    return { label: named, findings: [finding], ruined: [[]] };
  }
  const structure = checkStructure(value, kind, { table, root: `${kind}`, isPlain });
  return {
    object: { ...(structure.value as KubeObject), apiVersion: currentVersion(apiVersion, kind) },
    label: named,
    findings: structure.findings,
    ruined: structure.ruined,
  };
}

function noKind(value: Record<string, unknown>): Finding {
  const spec = value["spec"];
  const fragment = isPlainObject(spec) && ("domain" in spec || "template" in spec);
  return errorAt({
    code: "PT-MAN-8",
    at: typeof value["apiVersion"] === "string" ? ["kind"] : ["apiVersion"],
    reason: "FieldValueRequired",
    message: "apiVersion and kind are required, both as text",
    hint: fragment
      ? "This looks like a part of a VM: add apiVersion: kubevirt.io/v1, kind and metadata.name."
      : "Begin with apiVersion and kind, for a VM: kubevirt.io/v1 and VirtualMachine.",
  });
}

/** `VirtualMachine/web`, or the kind alone. */
export function labelOf(kind: string, value: object): string {
  const metadata = Object.hasOwn(value, "metadata") ? (value as { metadata: unknown }).metadata : undefined;
  const name = isPlainObject(metadata) ? metadata["name"] : undefined;
  return typeof name === "string" ? `${kind}/${name}` : kind;
}

/** Messages quote the manifest, which may hold a value of megabytes. */
function shorten(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

export function toProblem(
  finding: Finding,
  label: string | undefined,
  source?: { readonly file: string; readonly locate: (path: Path) => TextPosition },
): Problem {
  const { at, field, message, ...problem } = finding;
  return {
    ...problem,
    field: shorten(field),
    message: shorten(message),
    ...(label === undefined ? {} : { object: label }),
    ...(source === undefined ? {} : { at: { file: source.file, ...source.locate(at) } }),
  };
}
