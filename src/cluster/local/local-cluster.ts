/**
 * The `Cluster` port on the embedded store: for controllers that run inside the node daemon. Watches here never
 * expire: a reader that fell behind is brought up to date by comparing what it was told with what there is.
 */
import type { KubeObject } from "../../api/object.ts";
import { groupResource } from "../api-error.ts";
import { EventRecorder } from "../event-recorder.ts";
import type {
  Cluster,
  DeleteOptions,
  EventRecord,
  ListOptions,
  ObjectRef,
  Resource,
  WatchEvent,
} from "../port.ts";
import { Told, type ToldChange } from "../told.ts";
import { Cursor, seenThrough } from "./cursor.ts";
import { Objects, type ObjectsOptions } from "./objects.ts";
import { infoOf } from "./rules.ts";
import { selects } from "./selectors.ts";

export interface LocalClusterOptions extends ObjectsOptions {
  /** Default an hour, as kube-apiserver's `--event-ttl`. */
  readonly eventTtlSeconds?: number;
}

export class LocalCluster implements Cluster {
  /** What the REST API is served from. */
  readonly objects: Objects;
  readonly #events: EventRecorder;

  constructor(options: LocalClusterOptions) {
    this.objects = new Objects(options);
    this.#events = new EventRecorder({
      cluster: this,
      clock: options.clock,
      suffix: () => options.ids.suffix(),
      ttlSeconds: options.eventTtlSeconds ?? 3600,
    });
  }

  async get<T extends KubeObject>({ resource, namespace, name }: ObjectRef): Promise<T | undefined> {
    return this.objects.find(resource, namespace, name)?.object as T | undefined;
  }

  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}): Promise<readonly T[]> {
    const wanted = selects(options, infoOf(resource));
    const objects = this.objects.list(resource, options.namespace).map(({ object }) => object);
    return objects.filter(wanted) as readonly KubeObject[] as readonly T[];
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
    const told = new Told<T>();
    const store = this.objects.store;
    const present = (): readonly T[] =>
      this.objects
        .list(resource, options.namespace)
        .flatMap(({ object }) => (wanted(object) ? [object as T] : []));
    let cursor = new Cursor(store, groupResource(info), store.revision);
    let pending: readonly ToldChange<T>[] = told.changesTo(present());
    let synced = false;
    while (!signal.aborted) {
      for (const change of pending) {
        told.remember(change);
        yield { type: change.type, object: change.object };
        if (signal.aborted) return;
      }
      if (!synced) yield { type: "BOOKMARK", resourceVersion: String(cursor.revision) };
      synced = true;
      const changes = cursor.take();
      if (changes === undefined) {
        cursor = new Cursor(store, groupResource(info), store.revision);
        pending = told.changesTo(present());
        continue;
      }
      pending = changes.flatMap((change) => {
        const seen = seenThrough(wanted, change);
        return seen === undefined ? [] : [{ type: seen.type, object: seen.object as T }];
      });
      if (pending.length === 0) await cursor.wait(signal);
    }
  }

  recordEvent(event: EventRecord): Promise<void> {
    return this.#events.record(event);
  }

  close(): void {
    this.objects.store.close();
  }
}
