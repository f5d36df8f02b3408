/** `-o`: objects as JSON, YAML, names or by a JSONPath template. Tables are output-table.ts. */
import type { KubeObject } from "../../api/object.ts";
import { resourceOf } from "../../cluster/local/resources.ts";
import { usageError } from "./failure.ts";

export type ObjectFormat =
  | { readonly type: "json" }
  | { readonly type: "yaml" }
  | { readonly type: "name" }
  | { readonly type: "jsonpath"; readonly template: string };
export type Format = ObjectFormat | { readonly type: "table"; readonly wide: boolean };

/** The value of `-o`; undefined is a table. */
export function parseFormat(text: string | undefined): Format {
  if (text === undefined || text === "wide") return { type: "table", wide: text === "wide" };
  if (text === "json" || text === "yaml" || text === "name") return { type: text };
  if (text.startsWith("jsonpath=")) return { type: "jsonpath", template: text.slice("jsonpath=".length) };
  throw usageError(
    `unknown output format ${JSON.stringify(text)}`,
    "wide, json, yaml, name or jsonpath=TEMPLATE",
  );
}

/** One object, or a List of several, as kubectl prints them. */
export async function renderObjects(
  objects: readonly KubeObject[],
  format: ObjectFormat,
  single: boolean,
): Promise<string> {
  if (format.type === "name") return objects.map((object) => `${qualifiedName(object)}\n`).join("");
  const [only] = objects;
  const document =
    single && only !== undefined
      ? only
      : { apiVersion: "v1", kind: "List", metadata: { resourceVersion: "" }, items: objects };
  if (format.type === "json") return `${escaped(JSON.stringify(document, null, 4))}\n`;
  if (format.type === "yaml") {
    // Loaded only here: it would cost every other command its start.
    const { toYaml } = await import("./yaml-text.ts");
    return toYaml(document);
  }
  const { renderJsonPath } = await import("./output-jsonpath.ts");
  return renderJsonPath(format.template, document);
}

/** `virtualmachine.kubevirt.io/web`, `pod/x`: what `kubectl get -o name` prints. */
function qualifiedName(object: KubeObject): string {
  const info = resourceOf(object);
  return `${info === undefined ? object.kind.toLowerCase() : qualifiedKind(info)}/${object.metadata.name}`;
}

export function qualifiedKind({
  singular,
  group,
}: {
  readonly singular: string;
  readonly group: string;
}): string {
  return group === "" ? singular : `${singular}.${group}`;
}

/** JSON leaves DEL, C1 and bidirectional controls as they are; a terminal does not. */
function escaped(json: string): string {
  return json.replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (char) => {
    return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}
