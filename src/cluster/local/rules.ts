/** The single rules behind objects.ts: what may be written over what, and what of it counts. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { KubeObject, ObjectMeta } from "../../api/object.ts";
import { ApiError, badRequest, conflict, invalid, unknownResource } from "../api-error.ts";
import type { Resource } from "../port.ts";
import { plain } from "./batch.ts";
import type { Propagation } from "./removal.ts";
import { apiVersionOf, type ResourceInfo, resourceAt } from "./resources.ts";

export const DEFAULT_NAMESPACE = "default";

export interface DeleteOptions {
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** Default Background. */
  readonly propagation?: Propagation;
  readonly gracePeriodSeconds?: number;
  readonly dryRun?: boolean;
}

export function infoOf(resource: Resource): ResourceInfo {
  const info = resourceAt(resource.group, resource.version, resource.plural);
  if (info === undefined) throw unknownResource();
  return info;
}

/** Events may be lost with the machine; nobody waits for the disk on their account. */
export function isDurable(info: ResourceInfo): boolean {
  return info.kind !== "Event";
}

export function initialStatus(info: ResourceInfo): Partial<KubeObject> {
  return info.kind === "Namespace" ? { status: { phase: "Active" } } : {};
}

export function checkKind(info: ResourceInfo, object: KubeObject): void {
  const wanted = apiVersionOf(info);
  if (object.apiVersion !== wanted || object.kind !== info.kind) {
    throw badRequest(
      `the object says apiVersion ${JSON.stringify(object.apiVersion)}, kind ${JSON.stringify(object.kind)}; ${info.plural} are apiVersion "${wanted}", kind "${info.kind}"`,
    );
  }
  const metadata: unknown = object.metadata;
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw badRequest("the object has no metadata");
  }
}

export function placeOf(info: ResourceInfo, metadata: ObjectMeta): { namespace: string; name: string } {
  return { namespace: info.namespaced ? metadata.namespace || DEFAULT_NAMESPACE : "", name: metadata.name };
}

export function checkPreconditions(info: ResourceInfo, live: KubeObject, wanted: ObjectMeta): void {
  const { uid, resourceVersion, name } = live.metadata;
  if (wanted.uid !== undefined && wanted.uid !== uid) {
    const why = `Precondition failed: UID in precondition: ${wanted.uid}, UID in object meta: ${uid}`;
    throw conflict(info, name, why);
  }
  const asked = wanted.resourceVersion ?? "";
  if (asked !== "" && asked !== resourceVersion) throw conflict(info, name);
  if (wanted.name !== name) {
    throw badRequest(`the name of the object (${wanted.name}) does not match the name on the URL (${name})`);
  }
  checkNoNewFinalizers(info, live, wanted);
}

function checkNoNewFinalizers(info: ResourceInfo, live: KubeObject, wanted: ObjectMeta): void {
  const { deletionTimestamp, finalizers = [], name } = live.metadata;
  if (deletionTimestamp === undefined || !Array.isArray(wanted.finalizers)) return;
  const added = wanted.finalizers.filter((it) => !finalizers.includes(it));
  if (added.length === 0) return;
  const message = `metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
  const reason = "FieldValueForbidden";
  throw invalid(info, name, [
    { code: "PT-MANIFEST-2", severity: "error", reason, field: "metadata.finalizers", message },
  ]);
}

export function checkDeletable(info: ResourceInfo, live: KubeObject, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = live.metadata;
  if (options.uid !== undefined && options.uid !== uid) {
    const why = `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${uid}`;
    throw conflict(info, name, why);
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    throw conflict(info, name);
  }
  if (info.kind === "Namespace" && name === DEFAULT_NAMESPACE) {
    throw new ApiError(
      403,
      "Forbidden",
      `namespaces "${name}" is forbidden: this namespace may not be deleted`,
    );
  }
}

/** The wanted object with what only the server sets, and status, taken from the live one. */
export function mainOf(info: ResourceInfo, live: KubeObject, wanted: KubeObject): KubeObject {
  const { status: _status, ...body } = wanted;
  const { namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, generation } = live.metadata;
  const server = { namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, generation };
  const metadata = plain({ ...wanted.metadata, ...server } as ObjectMeta);
  if (!info.hasStatus) return { ...wanted, metadata };
  return { ...body, metadata, ...(live.status === undefined ? {} : { status: live.status }) };
}

export function withStatus(live: KubeObject, status: unknown): KubeObject {
  const { status: _old, ...rest } = live;
  return status === undefined ? rest : { ...rest, status };
}

export function withGeneration(info: ResourceInfo, live: KubeObject, wanted: KubeObject): KubeObject {
  const { generation } = live.metadata;
  if (!info.hasStatus || generation === undefined) return wanted;
  return isDeepStrictEqual(wishOf(live), wishOf(wanted))
    ? wanted
    : { ...wanted, metadata: { ...wanted.metadata, generation: generation + 1 } };
}

/** Everything but who it is and how it is. */
function wishOf({ metadata: _metadata, status: _status, ...wish }: KubeObject): object {
  return wish;
}
