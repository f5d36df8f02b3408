/**
 * The `Cluster` port on the embedded store: for controllers that run inside the node daemon. Watches here never
 * expire: a reader that fell behind is brought up to date by comparing what it was told with what there is.
 */
import type { KubeObject } from "../../api/object.ts";
import { ApiError, groupResource } from "../api-error.ts";
import type {
  Cluster,
  DeleteOptions,
  EventRecord,
  ListOptions,
  ObjectRef,
  Resource,
  WatchEvent,
} from "../port.ts";
import { Cursor, type SeenChange, seenThrough } from "./cursor.ts";
import { EventRecorder } from "./event-recorder.ts";
import { Objects, type ObjectsOptions } from "./objects.ts";
import { infoOf } from "./rules.ts";
import { type Selects, selects } from "./selectors.ts";

export class LocalCluster implements Cluster {
  /** What the REST API is served from. */
  readonly objects: Objects;
  readonly #events: EventRecorder;

  constructor(options: ObjectsOptions & { readonly eventTtlSeconds?: number }) {
    this.objects = new Objects(options);
    const { clock, ids, eventTtlSeconds: ttlSeconds } = options;
    const objects = this.objects;
    this.#events = new EventRecorder({
      objects,
      clock,
      ids,
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    });
  }

  async get<T extends KubeObject>({ resource, namespace, name }: ObjectRef): Promise<T | undefined> {
    return this.objects.find(resource, namespace, name)?.object as T | undefined;
  }

  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}): Promise<readonly T[]> {
    const wanted = selects(options, infoOf(resource));
    return this.objects
      .list(resource, options.namespace)
      .map(({ object }) => object)
      .filter(wanted) as readonly KubeObject[] as readonly T[];
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    return this.objects.create(resource, object).object as T;
  }

  async update<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    return this.objects.update(resource, object).object as T;
  }

  async updateStatus<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    return this.objects.update(resource, object, { subresource: "status" }).object as T;
  }

  async delete({ resource, namespace, name }: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    this.objects.delete(resource, namespace, name, options);
  }

  async *watch<T extends KubeObject>(
    resource: Resource,
    options: ListOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    const info = infoOf(resource);
    const wanted = selects(options, info);
    const known = new Map<string, KubeObject>();
    const store = this.objects.store;
    let cursor = new Cursor(store, groupResource(info), store.revision);
    let pending: readonly SeenChange[] = this.#difference(info, wanted, known);
    let synced = false;
    while (!signal.aborted) {
      for (const { type, object } of pending) {
        remember(known, type, object);
        yield { type, object: object as T };
        if (signal.aborted) return;
      }
      if (!synced) yield { type: "BOOKMARK", resourceVersion: String(cursor.revision) };
      synced = true;
      const changes = cursor.take();
      if (changes === undefined) {
        cursor = new Cursor(store, groupResource(info), store.revision);
        pending = this.#difference(info, wanted, known);
        continue;
      }
      pending = changes.flatMap((change) => seenThrough(wanted, change) ?? []);
      if (pending.length === 0) await cursor.wait(signal);
    }
  }

  /** Never fails for its object's sake: an event about something in a dying namespace is dropped. */
  async recordEvent(event: EventRecord): Promise<void> {
    try {
      this.#events.record(event);
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
    }
  }

  close(): void {
    this.objects.store.close();
  }

  #difference(resource: Resource, wanted: Selects, known: ReadonlyMap<string, KubeObject>): SeenChange[] {
    const current = this.objects.list(resource).filter(({ object }) => wanted(object));
    const uids = new Set(current.map(({ object }) => object.metadata.uid));
    const gone = [...known.values()].filter(({ metadata }) => !uids.has(metadata.uid));
    return [
      ...gone.map((object): SeenChange => ({ type: "DELETED", object, text: "" })),
      ...current.flatMap(({ object, text }): SeenChange[] => {
        const before = known.get(object.metadata.uid ?? "");
        if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return [];
        return [{ type: before === undefined ? "ADDED" : "MODIFIED", object, text }];
      }),
    ];
  }
}

function remember(known: Map<string, KubeObject>, type: string, object: KubeObject): void {
  const { uid = "" } = object.metadata;
  if (type === "DELETED") known.delete(uid);
  else known.set(uid, object);
}
