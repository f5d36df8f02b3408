/** The `Cluster` port over HTTP, so that the contract suite also runs through socket, server and the CLI's client. */
import type { KubeObject } from "../../src/api/object.ts";
import { ApiClient } from "../../src/apps/cli/client.ts";
import { notFound } from "../../src/cluster/api-error.ts";
import { EventRecorder } from "../../src/cluster/event-recorder.ts";
import type {
  Cluster,
  DeleteOptions,
  EventRecord,
  ListOptions,
  ObjectRef,
  Resource,
  WatchEvent,
} from "../../src/cluster/port.ts";
import { Told } from "../../src/cluster/told.ts";

export class HttpCluster implements Cluster {
  readonly client: ApiClient;
  readonly #events: EventRecorder;

  constructor(socketPath: string, now: () => number) {
    this.client = new ApiClient(socketPath);
    let serial = 0;
    this.#events = new EventRecorder({ cluster: this, clock: { now }, suffix: () => `h${++serial}` });
  }

  get<T extends KubeObject>({ resource, namespace, name }: ObjectRef): Promise<T | undefined> {
    return this.client.find<T>(resource, { namespace, name });
  }

  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}): Promise<readonly T[]> {
    return (await this.client.list<T>(resource, options)).items;
  }

  async create<T extends KubeObject>(_resource: Resource, object: T): Promise<T> {
    return (await this.client.create(object)).object;
  }

  update<T extends KubeObject>(_resource: Resource, object: T): Promise<T> {
    return this.client.replace(object);
  }

  updateStatus<T extends KubeObject>(_resource: Resource, object: T): Promise<T> {
    return this.client.replace(object, "status");
  }

  async delete({ resource, namespace, name }: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    if (!(await this.client.delete(resource, { namespace, name }, options))) throw notFound(resource, name);
  }

  async *watch<T extends KubeObject>(
    resource: Resource,
    options: ListOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    const told = new Told<T>();
    for (let synced = false; !signal.aborted; synced = true) {
      const { items, metadata } = await this.client.list<T>(resource, options);
      for (const change of told.changesTo(items)) {
        told.remember(change);
        yield change;
      }
      const { resourceVersion } = metadata;
      if (!synced) yield { type: "BOOKMARK", resourceVersion };
      const events = this.client.watch<T>(resource, { ...options, resourceVersion, signal });
      for await (const { type, object } of events) {
        if (type === "BOOKMARK") continue;
        told.remember({ type, object });
        yield { type, object };
      }
    }
  }

  recordEvent(event: EventRecord): Promise<void> {
    return this.#events.record(event);
  }
}
