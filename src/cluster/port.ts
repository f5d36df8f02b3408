/**
 * A cluster, as controllers see it: Kubernetes objects with resourceVersion and watch. `local/` is embedded in
 * the node daemon, `kubernetes/` speaks to an API server; one contract suite runs on both.
 */
import type { KubeObject } from "../api/object.ts";

/** A resource as REST paths name it: group (empty for core), version, plural. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

export interface ObjectRef {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
}

export type WatchEvent<T extends KubeObject = KubeObject> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export interface EventRecord {
  readonly about: KubeObject;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
}

export interface DeleteOptions {
  /** Only this very object, not another that took its name since. */
  readonly uid?: string;
  /** Default Background: what it owns goes once it is gone. */
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
}

/**
 * Errors are `ApiError` (api-error.ts), a PodtapError with codes PT-API-404 (not found), PT-API-409 (conflict:
 * read again; or already there: see `isConflict`, `isAlreadyExists`), PT-API-422 (admission), as the HTTP status
 * of the same answer. Objects that come out are shared and frozen: change a copy.
 */
export interface Cluster {
  get<T extends KubeObject>(ref: ObjectRef): Promise<T | undefined>;
  list<T extends KubeObject>(resource: Resource, options?: ListOptions): Promise<readonly T[]>;
  create<T extends KubeObject>(resource: Resource, object: T): Promise<T>;
  /** Replaces metadata and spec; status is left alone. Conflicts on a stale resourceVersion. */
  update<T extends KubeObject>(resource: Resource, object: T): Promise<T>;
  /** Replaces status only. */
  updateStatus<T extends KubeObject>(resource: Resource, object: T): Promise<T>;
  /** Sets deletionTimestamp while finalizers remain; owned objects follow. */
  delete(ref: ObjectRef, options?: DeleteOptions): Promise<void>;
  /**
   * First every object there is (ADDED), then one BOOKMARK, which says that this was all, then changes, until the
   * signal aborts. A slow reader misses versions in between, never the last one and never a deletion.
   */
  watch<T extends KubeObject>(
    resource: Resource,
    options: ListOptions,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>;
  recordEvent(event: EventRecord): Promise<void>;
}

export const VIRTUAL_MACHINES: Resource = {
  group: "kubevirt.io",
  version: "v1",
  plural: "virtualmachines",
  kind: "VirtualMachine",
};
export const VMIS: Resource = {
  group: "kubevirt.io",
  version: "v1",
  plural: "virtualmachineinstances",
  kind: "VirtualMachineInstance",
};
export const NADS: Resource = {
  group: "k8s.cni.cncf.io",
  version: "v1",
  plural: "network-attachment-definitions",
  kind: "NetworkAttachmentDefinition",
};
export const PODS: Resource = { group: "", version: "v1", plural: "pods", kind: "Pod" };
export const SERVICES: Resource = { group: "", version: "v1", plural: "services", kind: "Service" };
export const SECRETS: Resource = { group: "", version: "v1", plural: "secrets", kind: "Secret" };
export const CONFIG_MAPS: Resource = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap" };
export const EVENTS: Resource = { group: "", version: "v1", plural: "events", kind: "Event" };
export const NAMESPACES: Resource = { group: "", version: "v1", plural: "namespaces", kind: "Namespace" };
