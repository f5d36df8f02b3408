/**
 * Kubernetes Events, kept small: the same thing said again raises a count (client-go's EventCorrelator), more
 * than ten different things said for one reason about one object become one line, and, where the cluster does
 * not do it itself, what was not said again for an hour is forgotten. A guest that provokes events in a loop
 * therefore fills nothing.
 */
import type { KubeObject } from "../api/object.ts";
import type { Clock } from "../base/clock.ts";
import { ApiError } from "./api-error.ts";
import { type Cluster, EVENTS, type EventRecord } from "./port.ts";

/** `core/v1 Event`, the fields in use. */
export interface KubeEvent extends KubeObject {
  readonly involvedObject: {
    readonly kind: string;
    readonly namespace?: string;
    readonly name: string;
    readonly uid?: string;
    readonly apiVersion: string;
    readonly resourceVersion?: string;
  };
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly source: { readonly component: string };
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly count: number;
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

export interface RecorderOptions {
  readonly cluster: Pick<Cluster, "list" | "create" | "update" | "delete">;
  readonly clock: Clock;
  /** Random characters for names. */
  suffix(): string;
  /** Absent: the cluster forgets by itself. */
  readonly ttlSeconds?: number;
}

const COMPONENT = "podtap";
const DISTINCT_MAX = 10;
const COMBINED = "(combined from similar events): ";
const MESSAGE_MAX = 1024;
const NAME_MAX = 240;
const PRUNE_EVERY_MS = 60_000;

export class EventRecorder {
  readonly #options: RecorderOptions;
  #prunedAt = 0;
  /** One at a time: two at once would both find no event to count up. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** An event that the cluster refuses (its namespace is going away, say) is dropped. */
  record(record: EventRecord): Promise<void> {
    const recorded = this.#last.then(() => this.#record(record));
    this.#last = recorded.catch(() => undefined);
    return recorded.catch((thrown: unknown) => {
      if (!(thrown instanceof ApiError)) throw thrown;
    });
  }

  async #record(record: EventRecord): Promise<void> {
    await this.#prune();
    const { cluster } = this.#options;
    const about = record.about.metadata;
    const namespace = about.namespace || "default";
    const events = await cluster.list<KubeEvent>(EVENTS, { namespace });
    const similar = events.filter(
      (event) =>
        event.involvedObject.uid === about.uid &&
        event.type === record.type &&
        event.reason === record.reason,
    );
    const message = record.message.slice(0, MESSAGE_MAX);
    const combined = (COMBINED + message).slice(0, MESSAGE_MAX);
    const full = similar.length >= DISTINCT_MAX;
    const again =
      similar.find((event) => event.message === message) ??
      (full ? similar.find((event) => event.message.startsWith(COMBINED)) : undefined);
    const text = full && again?.message !== message ? combined : message;
    if (again === undefined) await cluster.create(EVENTS, this.#event(record, namespace, text));
    else await cluster.update(EVENTS, this.#again(again, text));
  }

  #event({ about, type, reason }: EventRecord, namespace: string, message: string): KubeEvent {
    const { name, uid, resourceVersion } = about.metadata;
    const now = this.#now();
    return {
      apiVersion: "v1",
      kind: "Event",
      metadata: {
        name: `${name.slice(0, NAME_MAX)}.${this.#options.suffix()}${this.#options.suffix()}`,
        namespace,
      },
      involvedObject: {
        kind: about.kind,
        ...(about.metadata.namespace === undefined ? {} : { namespace }),
        name,
        apiVersion: about.apiVersion,
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      reason,
      message,
      type,
      source: { component: COMPONENT },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      reportingComponent: COMPONENT,
      reportingInstance: "",
    };
  }

  #again(event: KubeEvent, message: string): KubeEvent {
    return { ...event, message, lastTimestamp: this.#now(), count: event.count + 1 };
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
  }

  async #prune(): Promise<void> {
    const { cluster, clock, ttlSeconds } = this.#options;
    const now = clock.now();
    if (ttlSeconds === undefined || now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    for (const { metadata, lastTimestamp } of await cluster.list<KubeEvent>(EVENTS)) {
      const last = Date.parse(lastTimestamp ?? metadata.creationTimestamp);
      if (now - last <= ttlSeconds * 1000) continue;
      await cluster.delete({ resource: EVENTS, namespace: metadata.namespace ?? "", name: metadata.name });
    }
  }
}
