/**
 * How things go away: finalizers hold an object, owners take what they own with them, a namespace takes its
 * contents. Kubernetes spreads this over the API server, the garbage collector and the namespace controller;
 * here it is one function over a batch, so an owner and all it owns go in one transaction and a crash cannot
 * leave orphans.
 */
import type { KubeObject, ObjectMeta } from "../../api/object.ts";
import type { Batch, Located } from "./batch.ts";

/** `metav1.DeletionPropagation`. */
export type Propagation = "Background" | "Foreground" | "Orphan";

/** Set by a foreground deletion; kept until nothing is owned any more. */
const FOREGROUND = "foregroundDeletion";

/** Marks for deletion what finalizers hold, removes the rest, and goes on with what it owned. */
export function remove(
  batch: Batch,
  target: Located,
  policy: Propagation,
  now: string,
  graceSeconds?: number,
): void {
  const uid = target.object.metadata.uid ?? "";
  const dependents = batch.dependentsOf(uid);
  if (policy === "Orphan") {
    for (const it of dependents)
      batch.put({ ...it, object: withoutOwners(it.object, (owner) => owner === uid) });
  }
  const finalizers = target.object.metadata.finalizers ?? [];
  const waits = policy === "Foreground" && dependents.length > 0 && !finalizers.includes(FOREGROUND);
  const held = waits ? [...finalizers, FOREGROUND] : finalizers;
  const contents = target.resource === "namespaces" ? batch.inNamespace(target.object.metadata.name) : [];
  if (held.length === 0 && contents.length === 0) {
    drop(batch, target, now);
    return;
  }
  batch.put({ ...target, object: markDeleted(target, held, now, graceSeconds) });
  const follow = policy === "Foreground" ? [...dependents, ...contents] : contents;
  for (const it of follow) removeStill(batch, it, now);
}

/** To be called after an update: the last finalizer gone means the object goes too. */
export function removeIfReleased(batch: Batch, target: Located, now: string): void {
  const { deletionTimestamp, finalizers = [] } = target.object.metadata;
  if (deletionTimestamp !== undefined && finalizers.length === 0 && target.resource !== "namespaces") {
    drop(batch, target, now);
  }
}

/** To be called once a batch is complete: a namespace that was only waiting to become empty goes. */
export function removeEmptiedNamespaces(batch: Batch, now: string): void {
  for (const name of batch.leftNamespaces()) {
    const namespace = batch.namespace(name);
    const { deletionTimestamp, finalizers = [] } = namespace?.object.metadata ?? {};
    if (namespace === undefined || deletionTimestamp === undefined || finalizers.length > 0) continue;
    if (batch.inNamespace(name).length === 0) drop(batch, namespace, now);
  }
}

/** Objects all of whose owners are gone: made too late, or by hand with a uid of the past. */
export function removeOrphans(batch: Batch, candidates: Iterable<Located>, now: string): void {
  for (const { object } of candidates) {
    const located = batch.byUid(object.metadata.uid ?? "");
    const owners = located?.object.metadata.ownerReferences ?? [];
    if (located === undefined || owners.length === 0) continue;
    if (owners.every((owner) => batch.byUid(owner.uid) === undefined))
      remove(batch, located, "Background", now);
  }
}

function removeStill(batch: Batch, { object }: Located, now: string): void {
  const still = batch.byUid(object.metadata.uid ?? "");
  if (still !== undefined) remove(batch, still, "Background", now);
}

function drop(batch: Batch, target: Located, now: string): void {
  const { uid = "", ownerReferences = [] } = target.object.metadata;
  batch.remove(target);
  for (const dependent of batch.dependentsOf(uid)) {
    const lost = (owner: string): boolean => batch.byUid(owner) === undefined;
    const left = withoutOwners(dependent.object, lost);
    if ((left.metadata.ownerReferences ?? []).length > 0) batch.put({ ...dependent, object: left });
    else removeStill(batch, dependent, now);
  }
  for (const { uid: owner } of ownerReferences) releaseForeground(batch, owner, now);
}

function releaseForeground(batch: Batch, uid: string, now: string): void {
  const owner = batch.byUid(uid);
  const finalizers = owner?.object.metadata.finalizers ?? [];
  if (owner === undefined || !finalizers.includes(FOREGROUND) || batch.dependentsOf(uid).length > 0) return;
  const released = {
    ...owner,
    object: withMetadata(owner.object, { finalizers: finalizers.filter((it) => it !== FOREGROUND) }),
  };
  batch.put(released);
  removeIfReleased(batch, released, now);
}

function markDeleted(
  target: Located,
  finalizers: readonly string[],
  now: string,
  grace?: number,
): KubeObject {
  const { deletionTimestamp, generation } = target.object.metadata;
  const held = finalizers.length > 0 ? { finalizers } : {};
  if (deletionTimestamp !== undefined) return withMetadata(target.object, held);
  const marked = withMetadata(target.object, {
    ...held,
    deletionTimestamp: now,
    ...(grace === undefined ? {} : { deletionGracePeriodSeconds: grace }),
    // Kubernetes counts a deletion as a change of the wish (`rest.BeforeDelete`).
    ...(generation === undefined ? {} : { generation: generation + 1 }),
  });
  return target.resource === "namespaces" ? { ...marked, status: { phase: "Terminating" } } : marked;
}

function withoutOwners(object: KubeObject, unwanted: (uid: string) => boolean): KubeObject {
  const { ownerReferences = [], ...rest } = object.metadata;
  const left = ownerReferences.filter((owner) => !unwanted(owner.uid));
  return { ...object, metadata: left.length > 0 ? { ...rest, ownerReferences: left } : rest };
}

function withMetadata(
  object: KubeObject,
  changed: Partial<ObjectMeta> & { readonly deletionGracePeriodSeconds?: number },
): KubeObject {
  return { ...object, metadata: { ...object.metadata, ...changed } };
}
