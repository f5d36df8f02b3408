/**
 * The OpenAPI documents of newer kubectls, one a group and version: which kinds may be patched as a dry run and with
 * fields validated by the server, and what fields they have, for `kubectl explain`. The fields are those that manifests
 * are checked by, so that the two cannot disagree; they come without descriptions.
 */
import type { FieldTable, FieldType } from "../../api/field-table.ts";
import { pathTemplate } from "./openapi-v2.ts";
import { apiVersionOf, RESOURCES, type ResourceInfo } from "./resources.ts";

type Schema = Readonly<Record<string, unknown>>;

const SCALARS: Readonly<Record<string, Schema>> = {
  string: { type: "string" },
  text: { type: "string" },
  quantity: { type: "string", format: "quantity" },
  bool: { type: "boolean" },
  int: { type: "integer" },
  intstr: { type: "string", format: "int-or-string" },
  any: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  none: { type: "object" },
};

/** The body for a path below /openapi/v3; undefined when it is none. Without fields it has no schemas. */
export function openApiV3(parts: readonly string[], fields: FieldTable | undefined): object | undefined {
  const documents = new Map(
    RESOURCES.map((it) => [it.group === "" ? `api/${it.version}` : `apis/${apiVersionOf(it)}`, it] as const),
  );
  if (parts.length === 0) {
    const paths = [...documents.keys()].map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }]);
    return { paths: Object.fromEntries(paths) };
  }
  const sample = documents.get(parts.join("/"));
  if (sample === undefined) return undefined;
  const resources = RESOURCES.filter((it) => it.group === sample.group && it.version === sample.version);
  return {
    openapi: "3.0.0",
    info: { title: "podtap", version: "1" },
    paths: Object.fromEntries(resources.map((it) => [pathTemplate(it), { patch: patchOperation(it) }])),
    components: { schemas: fields === undefined ? {} : schemasOf(resources, fields) },
  };
}

function patchOperation({ group, version, kind }: ResourceInfo): object {
  const query = { in: "query", schema: { type: "string", uniqueItems: true } };
  return {
    description: `partially update the specified ${kind}`,
    parameters: ["dryRun", "fieldManager", "fieldValidation"].map((name) => ({ name, ...query })),
    responses: { 200: { description: "OK" } },
    "x-kubernetes-action": "patch",
    "x-kubernetes-group-version-kind": { group, version, kind },
  };
}

/** Of the kinds and of all types below them. */
function schemasOf(resources: readonly ResourceInfo[], fields: FieldTable): Record<string, Schema> {
  const schemas: Record<string, Schema> = {};
  const open = resources.map(({ kind }) => kind);
  for (let type = open.pop(); type !== undefined; type = open.pop()) {
    const own = fields.fieldsOf(type);
    if (own === undefined || Object.hasOwn(schemas, type)) continue;
    const about = resources.find(({ kind }) => kind === type);
    const required = [...own].filter(([, field]) => field.required).map(([name]) => name);
    schemas[type] = {
      type: "object",
      properties: Object.fromEntries([...own].map(([name, field]) => [name, schemaOf(field.type)])),
      ...(required.length > 0 && { required }),
      ...(about !== undefined && { "x-kubernetes-group-version-kind": [kindOf(about)] }),
    };
    open.push(...[...own.values()].map(innermost));
  }
  return schemas;
}

function kindOf({ group, version, kind }: ResourceInfo): object {
  return { group, version, kind };
}

/** `string`, `Disk`, `Disk[]`, `{}Disk`: the notation of field-table.ts. */
function schemaOf(type: string): Schema {
  if (type.endsWith("[]")) return { type: "array", items: schemaOf(type.slice(0, -2)) };
  if (type.startsWith("{}")) return { type: "object", additionalProperties: schemaOf(type.slice(2)) };
  return SCALARS[type] ?? { allOf: [{ $ref: `#/components/schemas/${type}` }] };
}

function innermost({ type }: FieldType): string {
  return type.replace(/^\{\}/, "").replace(/(\[\])+$/, "");
}
