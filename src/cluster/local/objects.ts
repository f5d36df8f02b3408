/**
 * The rules of writing an object, as the Kubernetes API server has them: names and uids, generation, optimistic
 * concurrency, who may change status, what deletion means. Synchronous on purpose: read, decide and write
 * happen in one turn, so no lock is needed and a patch can never lose another's change. The port
 * (local-cluster.ts) and the REST API (api-server.ts) are both thin over this.
 */
import type { KubeObject, ObjectMeta } from "../../api/object.ts";
import type { Clock } from "../../base/clock.ts";
import type { Problem } from "../../base/problem.ts";
import type { Result } from "../../base/result.ts";
import {
  ApiError,
  alreadyExists,
  badRequest,
  groupResource,
  invalid,
  notFound,
  unknownResource,
} from "../api-error.ts";
import { NAMESPACES, type Resource } from "../port.ts";
import { Batch, type Located, OwnerIndex, plain } from "./batch.ts";
import { checkMetadata, generatedName, isNamespaceName } from "./metadata.ts";
import { remove, removeEmptiedNamespaces, removeIfReleased, removeOrphans } from "./removal.ts";
import { type ResourceInfo, resourceOf } from "./resources.ts";
import {
  checkDeletable,
  checkKind,
  checkPreconditions,
  DEFAULT_NAMESPACE,
  type DeleteOptions,
  infoOf,
  initialStatus,
  isDurable,
  mainOf,
  placeOf,
  withGeneration,
  withStatus,
} from "./rules.ts";
import { withSecretDefaults } from "./secret-defaults.ts";
import { withServiceDefaults } from "./service-defaults.ts";
import type { Entry, Store } from "./store.ts";

/** Defaults and validates; gets the object as it is about to be stored and, for an update, as it was. */
export type Admission = (object: KubeObject, old?: KubeObject) => Result<KubeObject>;

/** Randomness, passed in. */
export interface Ids {
  /** A UUID. */
  uid(): string;
  /** Five characters for `generateName`, out of Kubernetes' alphabet without vowels. */
  suffix(): string;
}

export interface ObjectsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly admission?: readonly Admission[];
}

export interface Outcome {
  readonly object: KubeObject;
  readonly warnings: readonly Problem[];
}

export interface WriteOptions {
  readonly dryRun?: boolean;
  readonly subresource?: "status";
}

export interface Removed {
  readonly object: KubeObject;
  /** False while finalizers hold it. */
  readonly gone: boolean;
}

const GENERATE_TRIES = 8;

export class Objects {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #admission: readonly Admission[];
  readonly #index: OwnerIndex;

  constructor(options: ObjectsOptions) {
    this.store = options.store;
    this.#clock = options.clock;
    this.#ids = options.ids;
    this.#admission = options.admission ?? [];
    this.#index = new OwnerIndex(this.store);
    if (this.find(NAMESPACES, "", DEFAULT_NAMESPACE) === undefined) {
      const batch = this.#batch();
      batch.put(this.#newNamespace(DEFAULT_NAMESPACE));
      this.#commit(batch, true);
    }
    this.#collect(this.store.all());
  }

  find(resource: Resource, namespace: string, name: string): Entry | undefined {
    return this.store.get(groupResource(infoOf(resource)), namespace, name);
  }

  get(resource: Resource, namespace: string, name: string): Entry {
    const entry = this.find(resource, namespace, name);
    if (entry === undefined) throw notFound(resource, name);
    return entry;
  }

  list(resource: Resource, namespace?: string): readonly Entry[] {
    return this.store.list(groupResource(infoOf(resource)), namespace);
  }

  create(resource: Resource, incoming: KubeObject, options: WriteOptions = {}): Outcome {
    const info = infoOf(resource);
    checkKind(info, incoming);
    const { metadata, status: _status, ...body } = plain(incoming);
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== "") {
      throw badRequest("resourceVersion should not be set on objects to be created");
    }
    const namespace = info.namespaced ? metadata.namespace || DEFAULT_NAMESPACE : "";
    const draft: KubeObject = {
      ...body,
      metadata: this.#newMetadata(info, metadata, namespace),
      ...(info.hasStatus ? initialStatus(info) : {}),
    };
    const { object, warnings } = this.#admit(info, draft);
    if (this.find(info, namespace, object.metadata.name) !== undefined) {
      throw alreadyExists(info, object.metadata.name);
    }
    const batch = this.#batch();
    if (namespace !== "") this.#ensureNamespace(batch, namespace, info, object.metadata.name);
    batch.put({ resource: groupResource(info), object });
    if (options.dryRun === true) return { object, warnings };
    this.#commit(batch, isDurable(info));
    this.#collectSoon(object);
    return { object: this.#after(info, object), warnings };
  }

  update(resource: Resource, incoming: KubeObject, options: WriteOptions = {}): Outcome {
    const info = infoOf(resource);
    checkKind(info, incoming);
    const { namespace, name } = placeOf(info, incoming.metadata);
    return this.change(info, namespace, name, () => incoming, options);
  }

  /**
   * Read, change, write in one step. The function gets the object as it is and returns the wanted one; a
   * resourceVersion in what it returns must be the current one.
   */
  change(
    resource: Resource,
    namespace: string,
    name: string,
    edit: (live: KubeObject) => KubeObject,
    options: WriteOptions = {},
  ): Outcome {
    const info = infoOf(resource);
    const live = this.get(info, namespace, name).object;
    const wanted = plain(edit(live));
    checkKind(info, wanted);
    checkPreconditions(info, live, wanted.metadata);
    const status = options.subresource === "status";
    if (status && !info.hasStatus) throw unknownResource();
    const { object, warnings } = status
      ? { object: withStatus(live, wanted.status), warnings: [] }
      : this.#admitChange(info, live, mainOf(info, live, wanted));
    if (options.dryRun === true) return { object, warnings };
    const batch = this.#batch();
    const located = { resource: groupResource(info), object };
    batch.put(located);
    if (!status) removeIfReleased(batch, located, this.#now());
    this.#commit(batch, isDurable(info) && !status);
    if (!status) this.#collectSoon(object);
    return { object: this.#after(info, object), warnings };
  }

  delete(resource: Resource, namespace: string, name: string, options: DeleteOptions = {}): Removed {
    const info = infoOf(resource);
    const live = this.get(info, namespace, name).object;
    checkDeletable(info, live, options);
    const batch = this.#batch();
    const target = { resource: groupResource(info), object: live };
    remove(batch, target, options.propagation ?? "Background", this.#now(), options.gracePeriodSeconds);
    const gone = batch.isRemoved(live.metadata.uid ?? "");
    if (options.dryRun === true) return { object: live, gone };
    this.#commit(batch, isDurable(info));
    const after = this.find(info, namespace, name)?.object;
    return { object: after ?? live, gone: after === undefined };
  }

  #batch(): Batch {
    return new Batch(this.store, this.#index);
  }

  #commit(batch: Batch, durable: boolean): void {
    removeEmptiedNamespaces(batch, this.#now());
    this.#index.follow(this.store.commit(batch.mutations(), durable));
  }

  /** The stored one, with its resourceVersion; what was written where it is gone already. */
  #after(info: ResourceInfo, object: KubeObject): KubeObject {
    const { namespace = "", name } = object.metadata;
    return this.find(info, namespace, name)?.object ?? object;
  }

  #now(): string {
    return timestamp(this.#clock);
  }

  #newMetadata(info: ResourceInfo, given: ObjectMeta, namespace: string): ObjectMeta {
    const { deletionTimestamp: _d, resourceVersion: _r, generation: _g, namespace: _n, ...kept } = given;
    return {
      ...kept,
      name: given.name || this.#generate(info, namespace, given.generateName),
      ...(info.namespaced ? { namespace } : {}),
      uid: this.#ids.uid(),
      creationTimestamp: this.#now(),
      ...(info.hasStatus ? { generation: 1 } : {}),
    };
  }

  #generate(info: ResourceInfo, namespace: string, base: unknown): string {
    if (typeof base !== "string" || base === "") return "";
    for (let i = 0; i < GENERATE_TRIES; i++) {
      const name = generatedName(base, this.#ids.suffix());
      if (this.find(info, namespace, name) === undefined) return name;
    }
    throw alreadyExists(info, base);
  }

  #admit(info: ResourceInfo, draft: KubeObject, old?: KubeObject): Outcome {
    const { name } = draft.metadata;
    const wrong = checkMetadata(draft, info);
    if (wrong.length > 0) throw invalid(info, name, wrong);
    let object = withServiceDefaults(withSecretDefaults(draft));
    const warnings: Problem[] = [];
    for (const admit of this.#admission) {
      const result = admit(object, old);
      if (!result.ok) throw invalid(info, name, result.problems);
      object = result.value;
      warnings.push(...result.warnings);
    }
    // Defaulting may fill in the spec, never say who the object is.
    const { metadata } = object;
    const { namespace, uid, resourceVersion, creationTimestamp } = draft.metadata;
    const who = { name, namespace, uid, resourceVersion, creationTimestamp };
    return { object: plain({ ...object, metadata: { ...metadata, ...who } as ObjectMeta }), warnings };
  }

  #admitChange(info: ResourceInfo, live: KubeObject, wanted: KubeObject): Outcome {
    const { object, warnings } = this.#admit(info, wanted, live);
    return { object: withGeneration(info, live, object), warnings };
  }

  /**
   * podtap makes a missing namespace on the way: on one box a namespace is a prefix, not a tenancy, and
   * `kubectl apply` of somebody's manifest should not fail over it.
   */
  #ensureNamespace(batch: Batch, name: string, info: ResourceInfo, forName: string): void {
    const existing = this.find(NAMESPACES, "", name)?.object;
    if (existing === undefined && isNamespaceName(name)) batch.put(this.#newNamespace(name));
    if (existing?.metadata.deletionTimestamp === undefined) return;
    throw new ApiError(
      403,
      "Forbidden",
      `${groupResource(info)} "${forName}" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
    );
  }

  #newNamespace(name: string): Located {
    const metadata = {
      name,
      uid: this.#ids.uid(),
      creationTimestamp: this.#now(),
      labels: { "kubernetes.io/metadata.name": name },
    };
    const object = { apiVersion: "v1", kind: "Namespace", metadata, status: { phase: "Active" } };
    return { resource: "namespaces", object };
  }

  /** After the answer, as Kubernetes' garbage collector would: the maker still gets its object back. */
  #collectSoon(object: KubeObject): void {
    const owners = object.metadata.ownerReferences ?? [];
    const info = resourceOf(object);
    if (owners.length === 0 || info === undefined) return;
    if (owners.some((owner) => this.#index.byUid(owner.uid) !== undefined)) return;
    setImmediate(() => this.#collect([{ resource: groupResource(info), object }]));
  }

  #collect(candidates: Iterable<Located>): void {
    const batch = this.#batch();
    removeOrphans(batch, candidates, this.#now());
    this.#commit(batch, true);
  }
}

/** RFC 3339 in whole seconds, as `metav1.Time` is written. */
function timestamp(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
}
