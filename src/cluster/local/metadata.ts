/**
 * What Kubernetes asks of `metadata` before anything else is looked at
 * (`k8s.io/apimachinery/pkg/api/validation/objectmeta.go`). Names end up in paths, XML and kernel objects, so
 * this is also the gate that hostile names do not pass.
 */
import type { KubeObject, ObjectMeta } from "../../api/object.ts";
import type { CauseReason, Code, Problem } from "../../base/problem.ts";
import type { ResourceInfo } from "./resources.ts";

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?$/;
const ANNOTATIONS_MAX = 256 << 10;

const FORMS = {
  label: {
    pattern: LABEL,
    max: 63,
    says: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  },
  dns1035: {
    pattern: DNS1035,
    max: 63,
    says: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  },
  subdomain: {
    pattern: SUBDOMAIN,
    max: 253,
    says: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  },
} as const;

/** Random characters that follow `generateName`; Kubernetes cuts the base so that the result fits 63. */
const GENERATED_SUFFIX = 5;
const GENERATED_BASE_MAX = 63 - GENERATED_SUFFIX;

export function generatedName(base: string, suffix: string): string {
  return base.slice(0, GENERATED_BASE_MAX) + suffix;
}

/** Is it a namespace's name: checked before one is made on the way. */
export function isNamespaceName(name: string): boolean {
  return name.length <= 63 && LABEL.test(name);
}

export function checkMetadata(object: KubeObject, resource: ResourceInfo): readonly Problem[] {
  const metadata = object.metadata;
  return [
    ...checkShapes(metadata),
    ...checkName(metadata.name, resource),
    ...checkNamespace(metadata.namespace, resource),
    ...checkLabels(metadata.labels),
    ...checkAnnotations(metadata.annotations),
    ...checkFinalizers(metadata.finalizers),
    ...checkOwners(metadata.ownerReferences),
  ];
}

function problem(field: string, message: string, reason: CauseReason = "FieldValueInvalid"): Problem {
  return {
    code: "PT-MANIFEST-2" satisfies Code,
    severity: "error",
    reason,
    field,
    message: `${field}: ${message}`,
  };
}

function checkShapes(metadata: ObjectMeta): Problem[] {
  const maps = (["labels", "annotations"] as const).filter((key) => !isTextMap(metadata[key]));
  const lists = (["finalizers", "ownerReferences"] as const).filter(
    (key) => metadata[key] !== undefined && !Array.isArray(metadata[key]),
  );
  return [
    ...maps.map((key) => problem(`metadata.${key}`, "must be a map of strings")),
    ...lists.map((key) => problem(`metadata.${key}`, "must be a list")),
  ];
}

function isTextMap(value: unknown): boolean {
  return (
    value === undefined ||
    (typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((it) => typeof it === "string"))
  );
}

function checkName(name: unknown, resource: ResourceInfo): Problem[] {
  if (typeof name !== "string" || name === "") {
    return [problem("metadata.name", "name or generateName is required", "FieldValueRequired")];
  }
  const form = FORMS[resource.nameForm];
  if (name.length > form.max) {
    return [problem("metadata.name", `Invalid value: must be no more than ${form.max} characters`)];
  }
  return form.pattern.test(name)
    ? []
    : [problem("metadata.name", `Invalid value: ${JSON.stringify(name)}: ${form.says}`)];
}

function checkNamespace(namespace: unknown, resource: ResourceInfo): Problem[] {
  if (!resource.namespaced) return [];
  return typeof namespace === "string" && isNamespaceName(namespace)
    ? []
    : [
        problem(
          "metadata.namespace",
          `Invalid value: ${JSON.stringify(namespace ?? "")}: ${FORMS.label.says}`,
        ),
      ];
}

function isQualifiedName(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  return (
    (prefix === undefined || (prefix.length <= 253 && SUBDOMAIN.test(prefix))) &&
    name.length <= 63 &&
    QUALIFIED.test(name)
  );
}

function checkLabels(labels: unknown): Problem[] {
  if (!isTextMap(labels)) return [];
  return Object.entries((labels ?? {}) as Record<string, string>).flatMap(([key, value]) => [
    ...(isQualifiedName(key)
      ? []
      : [problem("metadata.labels", `Invalid value: ${JSON.stringify(key)}: not a qualified name`)]),
    ...(value.length <= 63 && LABEL_VALUE.test(value)
      ? []
      : [
          problem(
            "metadata.labels",
            `Invalid value: ${JSON.stringify(value)}: a label's value is at most 63 of A-Za-z0-9-_. and starts and ends with an alphanumeric character`,
          ),
        ]),
  ]);
}

function checkAnnotations(annotations: unknown): Problem[] {
  if (!isTextMap(annotations)) return [];
  const entries = Object.entries((annotations ?? {}) as Record<string, string>);
  const bytes = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return [
    ...entries
      .filter(([key]) => !isQualifiedName(key.toLowerCase()))
      .map(([key]) =>
        problem("metadata.annotations", `Invalid value: ${JSON.stringify(key)}: not a qualified name`),
      ),
    ...(bytes > ANNOTATIONS_MAX
      ? [problem("metadata.annotations", `Too long: may not be more than ${ANNOTATIONS_MAX} bytes`)]
      : []),
  ];
}

function checkFinalizers(finalizers: unknown): Problem[] {
  if (!Array.isArray(finalizers)) return [];
  return finalizers
    .filter((it) => typeof it !== "string" || !isQualifiedName(it))
    .map((it) =>
      problem("metadata.finalizers", `Invalid value: ${JSON.stringify(it)}: not a qualified name`),
    );
}

function checkOwners(owners: unknown): Problem[] {
  if (!Array.isArray(owners)) return [];
  const missing = owners.flatMap((owner: unknown, i) =>
    (["apiVersion", "kind", "name", "uid"] as const)
      .filter((key) => {
        const value = (owner as Record<string, unknown> | null)?.[key];
        return typeof value !== "string" || value === "";
      })
      .map((key) =>
        problem(`metadata.ownerReferences[${i}].${key}`, "must not be empty", "FieldValueRequired"),
      ),
  );
  const controllers = owners.filter(
    (it: unknown) => (it as { controller?: unknown } | null)?.controller === true,
  );
  return controllers.length <= 1
    ? missing
    : [...missing, problem("metadata.ownerReferences", "Only one reference can have Controller set to true")];
}
