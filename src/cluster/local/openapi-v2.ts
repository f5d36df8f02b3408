/**
 * The OpenAPI document that kubectl before 1.27 asks for, in protobuf (gnostic's OpenAPIv2.proto, by its field
 * numbers): which kinds may be patched as a dry run, without which `kubectl diff` and `--dry-run=server` refuse to
 * ask. There are no definitions, so that client-side validation finds nothing to check: the server validates.
 */
import { RESOURCES, type ResourceInfo, resourcePath } from "./resources.ts";

export const OPENAPI_V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

export function openApiV2(): Buffer {
  const info = message(text(1, "podtap"), text(2, "1"));
  const paths = RESOURCES.map((resource) => field(2, pathItem(resource)));
  return message(text(1, "2.0"), field(2, info), field(8, message(...paths)));
}

/** `NamedPathItem`, with its `patch`. */
function pathItem(resource: ResourceInfo): Buffer {
  return message(text(1, pathTemplate(resource)), field(2, message(field(8, patchOperation(resource)))));
}

function patchOperation({ group, version, kind }: ResourceInfo): Buffer {
  // ParametersItem, Parameter, NonBodyParameter, QueryParameterSubSchema.
  const dryRun = [1, 2, 3].reduceRight(
    (inner, number) => field(number, inner),
    message(text(2, "query"), text(4, "dryRun")),
  );
  const extension = message(
    text(1, "x-kubernetes-group-version-kind"),
    field(2, text(2, JSON.stringify({ group, version, kind }))),
  );
  return message(field(8, dryRun), field(13, extension));
}

export function pathTemplate(resource: ResourceInfo): string {
  const scope = resource.namespaced ? { namespace: "{namespace}" } : {};
  return decodeURIComponent(resourcePath(resource, { ...scope, name: "{name}" }));
}

function message(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

function text(number: number, value: string): Buffer {
  return field(number, Buffer.from(value));
}

/** Of wire type 2, length-delimited; the numbers here are below 16, so that a tag is one byte. */
function field(number: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(value.length), value]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}
