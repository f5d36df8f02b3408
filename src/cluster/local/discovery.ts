/**
 * What clients ask before they ask for anything: which groups, versions and resources there are.
 */
import type { FieldTable } from "../../api/field-table.ts";
import { openApiV3 } from "./openapi-v3.ts";
import { RESOURCES, type ResourceInfo } from "./resources.ts";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const STATUS_VERBS = ["get", "patch", "update"];
/** The Kubernetes release whose REST conventions are followed; kubectl warns when it is far from its own. */
const KUBERNETES_MINOR = "34";

/** The body for a discovery path; undefined when it is none. */
export function discover(path: string, version: string, fields?: FieldTable): object | undefined {
  const parts = path.split("/").slice(1);
  const [root, group = "", groupVersion = ""] = parts;
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: namedGroups().map(groupOf) };
  if (path === "/version") return versionInfo(version);
  if (root === "openapi" && group === "v3") return openApiV3(parts.slice(2), fields);
  if (root === "api" && parts.length === 2) return resourceList("", group);
  if (root !== "apis" || !namedGroups().includes(group)) return undefined;
  if (parts.length === 2) return { kind: "APIGroup", apiVersion: "v1", ...groupOf(group) };
  return parts.length === 3 ? resourceList(group, groupVersion) : undefined;
}

/** `apidiscovery.k8s.io/v2`: all of /api or /apis in one answer. */
export function discoverAggregated(path: string): object | undefined {
  if (path !== "/api" && path !== "/apis") return undefined;
  const groups = path === "/api" ? [""] : namedGroups();
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items: groups.map((group) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: versionsOf(group).map((version) => ({
        version,
        resources: inGroup(group, version).map(aggregatedResource),
        freshness: "Current",
      })),
    })),
  };
}

function aggregatedResource(resource: ResourceInfo): object {
  const { group, version, kind } = resource;
  return {
    resource: resource.plural,
    responseKind: { group, version, kind },
    scope: resource.namespaced ? "Namespaced" : "Cluster",
    singularResource: resource.singular,
    verbs: VERBS,
    shortNames: resource.shortNames,
    categories: resource.categories,
    subresources: resource.hasStatus
      ? [{ subresource: "status", responseKind: { group, version, kind }, verbs: STATUS_VERBS }]
      : [],
  };
}

function resourceList(group: string, version: string): object | undefined {
  const found = inGroup(group, version);
  if (found.length === 0) return undefined;
  const groupVersion = group === "" ? version : `${group}/${version}`;
  const resources = found.flatMap((it) => [
    {
      name: it.plural,
      singularName: it.singular,
      namespaced: it.namespaced,
      kind: it.kind,
      verbs: VERBS,
      ...(it.shortNames.length > 0 ? { shortNames: it.shortNames } : {}),
      ...(it.categories.length > 0 ? { categories: it.categories } : {}),
    },
    ...(it.hasStatus
      ? [
          {
            name: `${it.plural}/status`,
            singularName: "",
            namespaced: it.namespaced,
            kind: it.kind,
            verbs: STATUS_VERBS,
          },
        ]
      : []),
  ]);
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion, resources };
}

function groupOf(name: string): object {
  const versions = versionsOf(name).map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions, preferredVersion: versions[0] };
}

function namedGroups(): readonly string[] {
  return [...new Set(RESOURCES.map((it) => it.group))].filter((group) => group !== "");
}

function versionsOf(group: string): readonly string[] {
  return [...new Set(RESOURCES.filter((it) => it.group === group).map((it) => it.version))];
}

function inGroup(group: string, version: string): readonly ResourceInfo[] {
  return RESOURCES.filter((it) => it.group === group && it.version === version);
}

function versionInfo(version: string): object {
  return {
    major: "1",
    minor: KUBERNETES_MINOR,
    gitVersion: `v1.${KUBERNETES_MINOR}.0+podtap-${version}`,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "none",
    compiler: "node",
    platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}
