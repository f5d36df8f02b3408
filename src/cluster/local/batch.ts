/**
 * Changes being prepared: a view of the store with them already made, so that rules which set off further
 * changes (owners, finalizers, namespaces) see each other's work, and all of it is committed at once or not at
 * all. `OwnerIndex` answers "who belongs to whom" without looking through everything.
 */
import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../../api/object.ts";
import type { Change, Mutation, Store } from "./store.ts";

export interface Located {
  /** As the store names it: `pods`, `virtualmachines.kubevirt.io`. */
  readonly resource: string;
  readonly object: KubeObject;
}

export class OwnerIndex {
  readonly #byUid = new Map<string, Located>();
  /** Owner's uid → uids of what it owns. */
  readonly #owned = new Map<string, Set<string>>();

  constructor(store: Store) {
    for (const located of store.all()) this.#add(located);
  }

  follow(changes: readonly Change[]): void {
    for (const { type, resource, object, previous } of changes) {
      if (previous !== undefined) this.#drop(previous);
      if (type !== "DELETED") this.#add({ resource, object });
    }
  }

  byUid(uid: string): Located | undefined {
    return this.#byUid.get(uid);
  }

  ownedBy(uid: string): readonly Located[] {
    return [...(this.#owned.get(uid) ?? [])].flatMap((owned) => this.#byUid.get(owned) ?? []);
  }

  #add(located: Located): void {
    const { uid = "", ownerReferences = [] } = located.object.metadata;
    this.#byUid.set(uid, located);
    for (const owner of ownerReferences) {
      const owned = this.#owned.get(owner.uid) ?? new Set();
      this.#owned.set(owner.uid, owned.add(uid));
    }
  }

  #drop(object: KubeObject): void {
    const { uid = "", ownerReferences = [] } = object.metadata;
    this.#byUid.delete(uid);
    for (const owner of ownerReferences) {
      const owned = this.#owned.get(owner.uid);
      owned?.delete(uid);
      if (owned?.size === 0) this.#owned.delete(owner.uid);
    }
  }
}

export class Batch {
  readonly #store: Store;
  readonly #index: OwnerIndex;
  /** By uid; undefined object: removed. */
  readonly #touched = new Map<string, Located & { readonly removed: boolean }>();

  constructor(store: Store, index: OwnerIndex) {
    this.#store = store;
    this.#index = index;
  }

  put(located: Located): void {
    this.#touched.set(located.object.metadata.uid ?? "", { ...located, removed: false });
  }

  remove(located: Located): void {
    this.#touched.set(located.object.metadata.uid ?? "", { ...located, removed: true });
  }

  /** As it is after the changes so far; undefined when it is not there (any more). */
  byUid(uid: string): Located | undefined {
    const touched = this.#touched.get(uid);
    if (touched !== undefined) return touched.removed ? undefined : touched;
    return this.#index.byUid(uid);
  }

  namespace(name: string): Located | undefined {
    for (const it of this.#touched.values()) {
      if (it.resource === "namespaces" && it.object.metadata.name === name)
        return it.removed ? undefined : it;
    }
    const object = this.#store.get("namespaces", "", name)?.object;
    return object === undefined ? undefined : { resource: "namespaces", object };
  }

  dependentsOf(uid: string): readonly Located[] {
    return this.#index
      .ownedBy(uid)
      .flatMap(({ object }) => this.byUid(object.metadata.uid ?? "") ?? [])
      .filter(({ object }) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid));
  }

  inNamespace(namespace: string): readonly Located[] {
    return [...this.#store.all()]
      .filter(({ object }) => object.metadata.namespace === namespace)
      .flatMap(({ object }) => this.byUid(object.metadata.uid ?? "") ?? []);
  }

  /** Namespaces out of which something was removed. */
  leftNamespaces(): readonly string[] {
    const removed = [...this.#touched.values()].filter((it) => it.removed);
    return [...new Set(removed.flatMap((it) => it.object.metadata.namespace ?? []))];
  }

  isRemoved(uid: string): boolean {
    return this.#touched.get(uid)?.removed === true;
  }

  /** What is to be written; objects that came out as they were are left out and keep their resourceVersion. */
  mutations(): readonly Mutation[] {
    return [...this.#touched.values()]
      .map(
        ({ resource, object, removed }): Mutation => ({ resource, object, op: removed ? "delete" : "put" }),
      )
      .filter(({ resource, object, op }) => {
        const { namespace = "", name } = object.metadata;
        const stored = this.#store.get(resource, namespace, name)?.object;
        return op === "delete" ? stored !== undefined : !isDeepStrictEqual(plain(object), stored);
      });
  }
}

/** As JSON carries it: no undefined, no shared parts. */
export function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
