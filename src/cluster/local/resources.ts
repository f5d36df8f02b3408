/**
 * The kinds the embedded API knows, with everything that is said about a kind in one row: how REST paths and
 * people name it, whether it lives in a namespace, whether it has a status of its own. API server and CLI read
 * the same table; nothing here may pull in more than types, because the CLI's start pays for it.
 */
import {
  CONFIG_MAPS,
  EVENTS,
  NADS,
  NAMESPACES,
  PODS,
  type Resource,
  SECRETS,
  SERVICES,
  VIRTUAL_MACHINES,
  VMIS,
} from "../port.ts";

export interface ResourceInfo extends Resource {
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Has a /status of its own: writes to the object leave status alone, writes to /status only that. */
  readonly hasStatus: boolean;
  /** What a name must be: RFC 1123 subdomain, RFC 1123 label, or RFC 1035 label. */
  readonly nameForm: "subdomain" | "label" | "dns1035";
  /** Field selectors beyond metadata.name and metadata.namespace. */
  readonly fields: readonly string[];
  /** Built into Kubernetes, so that kubectl sends strategic merge patches for it. */
  readonly builtIn: boolean;
}

type Row = Resource & Partial<ResourceInfo>;

/** The operator's own configuration object; binding plugins are registered in it. */
const KUBEVIRTS: Resource = {
  group: "kubevirt.io",
  version: "v1",
  plural: "kubevirts",
  kind: "KubeVirt",
};
const NODES: Resource = { group: "", version: "v1", plural: "nodes", kind: "Node" };

const ROWS: readonly Row[] = [
  { ...NAMESPACES, shortNames: ["ns"], namespaced: false, nameForm: "label", fields: ["status.phase"] },
  { ...NODES, shortNames: ["no"], namespaced: false },
  {
    ...PODS,
    shortNames: ["po"],
    categories: ["all"],
    fields: ["spec.nodeName", "status.phase", "status.podIP"],
  },
  { ...SERVICES, shortNames: ["svc"], categories: ["all"], nameForm: "dns1035", fields: ["spec.type"] },
  { ...CONFIG_MAPS, shortNames: ["cm"], hasStatus: false },
  { ...SECRETS, hasStatus: false, fields: ["type"] },
  {
    ...EVENTS,
    shortNames: ["ev"],
    hasStatus: false,
    fields: [
      "involvedObject.kind",
      "involvedObject.namespace",
      "involvedObject.name",
      "involvedObject.uid",
      "involvedObject.apiVersion",
      "reason",
      "reportingComponent",
      "source",
      "type",
    ],
  },
  { ...VIRTUAL_MACHINES, shortNames: ["vm", "vms"], categories: ["all"] },
  { ...VMIS, shortNames: ["vmi", "vmis"], categories: ["all"] },
  { ...KUBEVIRTS, shortNames: ["kv", "kvs"], categories: ["all"] },
  {
    ...NADS,
    shortNames: ["net-attach-def"],
    hasStatus: false,
  },
];

export const RESOURCES: readonly ResourceInfo[] = ROWS.map((row) => ({
  singular: row.kind.toLowerCase(),
  shortNames: [],
  categories: [],
  namespaced: true,
  hasStatus: true,
  nameForm: "subdomain",
  fields: [],
  builtIn: row.group === "",
  ...row,
}));

/** By the parts of a REST path. */
export function resourceAt(group: string, version: string, plural: string): ResourceInfo | undefined {
  return RESOURCES.find((it) => it.group === group && it.version === version && it.plural === plural);
}

/** By what an object says about itself. */
export function resourceOf(object: {
  readonly apiVersion: string;
  readonly kind: string;
}): ResourceInfo | undefined {
  return RESOURCES.find((it) => it.kind === object.kind && apiVersionOf(it) === object.apiVersion);
}

/** By what people type: plural, singular, kind or short name in any case, with `.group` or without. */
export function findResource(typed: string): ResourceInfo | undefined {
  const dot = typed.indexOf(".");
  const name = (dot < 0 ? typed : typed.slice(0, dot)).toLowerCase();
  const group = dot < 0 ? undefined : typed.slice(dot + 1);
  return RESOURCES.find(
    (it) =>
      (group === undefined || group === it.group || group === `${it.version}.${it.group}`) &&
      (name === it.plural || name === it.singular || it.shortNames.includes(name)),
  );
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** `/apis/kubevirt.io/v1/namespaces/default/virtualmachines/web/status`; names are percent-encoded. */
export function resourcePath(
  resource: Resource,
  at: { readonly namespace?: string; readonly name?: string; readonly subresource?: string } = {},
): string {
  const parts =
    resource.group === "" ? ["api", resource.version] : ["apis", resource.group, resource.version];
  if (at.namespace !== undefined && at.namespace !== "") parts.push("namespaces", at.namespace);
  parts.push(resource.plural);
  if (at.name !== undefined) parts.push(at.name);
  if (at.subresource !== undefined) parts.push(...at.subresource.split("/"));
  return `/${parts.map(encodeURIComponent).join("/")}`;
}
