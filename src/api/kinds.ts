/** The kinds a manifest may hold, and what podtap does with each. */
import type { Code } from "../base/problem.ts";
import { suggest } from "./suggest.ts";

/** Kinds podtap acts on: kind to the apiVersions it is known under. */
const ACTED: ReadonlyMap<string, readonly string[]> = new Map([
  ["VirtualMachine", ["kubevirt.io/v1", "kubevirt.io/v1alpha3"]],
  ["VirtualMachineInstance", ["kubevirt.io/v1", "kubevirt.io/v1alpha3"]],
  ["NetworkAttachmentDefinition", ["k8s.cni.cncf.io/v1"]],
  ["Service", ["v1"]],
  ["Secret", ["v1"]],
  ["ConfigMap", ["v1"]],
]);

/** Read for the VMs of the same files (instancetypes.ts), and not kept. */
export const INSTANCETYPE_KINDS = ["VirtualMachineInstancetype", "VirtualMachineClusterInstancetype"];
export const PREFERENCE_KINDS = ["VirtualMachinePreference", "VirtualMachineClusterPreference"];
const INSTANCETYPE_VERSIONS = ["v1", "v1beta1", "v1alpha2", "v1alpha1"].map(
  (version) => `instancetype.kubevirt.io/${version}`,
);

/** The same, for what volumes name (cluster-storage.ts). */
export const STORAGE_KINDS = ["DataVolume", "PersistentVolumeClaim"];
const STORAGE_VERSIONS = ["v1", "cdi.kubevirt.io/v1beta1", "cdi.kubevirt.io/v1alpha1"];

export function isDefinition(kind: string): boolean {
  return [...INSTANCETYPE_KINDS, ...PREFERENCE_KINDS, ...STORAGE_KINDS].includes(kind);
}

function isDefinitionOf(kind: string, apiVersion: string): boolean {
  const versions = STORAGE_KINDS.includes(kind) ? STORAGE_VERSIONS : INSTANCETYPE_VERSIONS;
  return isDefinition(kind) && versions.includes(apiVersion);
}

/** API groups of KubeVirt and its friends: every kind in them is known, and not acted on. */
const KNOWN_GROUPS = [
  "kubevirt.io",
  "instancetype.kubevirt.io",
  "pool.kubevirt.io",
  "snapshot.kubevirt.io",
  "export.kubevirt.io",
  "clone.kubevirt.io",
  "backup.kubevirt.io",
  "migrations.kubevirt.io",
  "plugin.kubevirt.io",
  "cdi.kubevirt.io",
  "k8s.cni.cncf.io",
  "resource.k8s.io",
  "apps",
  "batch",
  "rbac.authorization.k8s.io",
  "networking.k8s.io",
  "policy",
  "storage.k8s.io",
  "apiextensions.k8s.io",
  "admissionregistration.k8s.io",
  "apiregistration.k8s.io",
  "scheduling.k8s.io",
  "autoscaling",
  "discovery.k8s.io",
  "snapshot.storage.k8s.io",
  "gateway.networking.k8s.io",
  "monitoring.coreos.com",
];
const KNOWN_CORE = [
  "Namespace",
  "Pod",
  "PersistentVolumeClaim",
  "PersistentVolume",
  "ServiceAccount",
  "Node",
  "Event",
  "Endpoints",
  "LimitRange",
  "ResourceQuota",
  "ReplicationController",
  "PodTemplate",
];
/** KubeVirt's own kinds, for suggestions and for telling a typing mistake from a kind that exists. */
const KUBEVIRT_KINDS = [
  "VirtualMachineInstanceReplicaSet",
  "VirtualMachineInstanceMigration",
  "VirtualMachineInstancePreset",
  "KubeVirt",
];

/** A group that is nearly one of these is a typing mistake. */
const OWN_GROUPS = ["kubevirt.io", "k8s.cni.cncf.io", "instancetype.kubevirt.io"];

/** Files that others make manifests of. */
const TO_RENDER: ReadonlyMap<string, string> = new Map([
  ["Template", "Fill it in first: `oc process -f FILE NAME=… | podtap up -f -`."],
  ["Kustomization", "Build it first: `kubectl kustomize FOLDER | podtap up -f -`."],
]);

/** Kinds that stand for several objects of another (replicas.ts). */
export const REPLICATING: ReadonlyMap<string, string> = new Map([
  ["VirtualMachineInstanceReplicaSet", "VirtualMachineInstance"],
  ["VirtualMachinePool", "VirtualMachine"],
]);
const REPLICATING_VERSIONS = [
  "kubevirt.io/v1",
  "kubevirt.io/v1alpha3",
  "pool.kubevirt.io/v1beta1",
  "pool.kubevirt.io/v1alpha1",
];

export type KindVerdict =
  | { readonly acted: true }
  | {
      readonly acted: false;
      readonly code: Code;
      readonly severity: "error" | "warning";
      readonly field: "kind" | "apiVersion";
      readonly message: string;
      readonly hint: string;
    };

export function judgeKind(apiVersion: string, kind: string): KindVerdict {
  const versions = ACTED.get(kind);
  if (versions?.includes(apiVersion) === true) return { acted: true };
  if (isDefinitionOf(kind, apiVersion)) return { acted: true };
  if (REPLICATING.has(kind) && REPLICATING_VERSIONS.includes(apiVersion)) return { acted: true };
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  if (isKnownElsewhere(group, kind)) return notActedOn(kind);
  if (versions !== undefined) {
    return {
      acted: false,
      code: "PT-MAN-8",
      severity: "error",
      field: "apiVersion",
      message: `no kind ${kind} in apiVersion ${JSON.stringify(apiVersion)}`,
      hint: `Write apiVersion: ${versions.join(" or ")}.`,
    };
  }
  const near = suggest(kind, [...ACTED.keys(), ...KUBEVIRT_KINDS, ...KNOWN_CORE]);
  // Other projects' kinds: nmstate's, MetalLB's, whatever else people keep in the same file.
  if (near === undefined && isOtherProject(group)) return notActedOn(kind);
  return {
    acted: false,
    code: "PT-MAN-8",
    severity: "error",
    field: "kind",
    message: `unknown kind ${JSON.stringify(kind)} in apiVersion ${JSON.stringify(apiVersion)}`,
    hint:
      near === undefined ? `podtap acts on ${[...ACTED.keys()].join(", ")}.` : `Did you mean \`${near}\`?`,
  };
}

/** The apiVersion under which podtap keeps the kind: the newest. Older ones have the same fields. */
export function currentVersion(apiVersion: string, kind: string): string {
  const versions = ACTED.get(kind);
  return versions?.includes(apiVersion) === true ? (versions[0] ?? apiVersion) : apiVersion;
}

function isKnownElsewhere(group: string, kind: string): boolean {
  if (group === "") return KNOWN_CORE.includes(kind);
  // In KubeVirt's own group a misspelt kind is likelier than one podtap has never heard of.
  if (group === "kubevirt.io") return KUBEVIRT_KINDS.includes(kind);
  return KNOWN_GROUPS.includes(group) && !ACTED.has(kind);
}

function isOtherProject(group: string): boolean {
  return /^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(group) && suggest(group, OWN_GROUPS) === undefined;
}

function notActedOn(kind: string): KindVerdict {
  return {
    acted: false,
    code: "PT-MAN-9",
    severity: "warning",
    field: "kind",
    message: `podtap does not act on ${kind}; this object is left out`,
    hint: TO_RENDER.get(kind) ?? `podtap acts on ${[...ACTED.keys()].join(", ")}.`,
  };
}
