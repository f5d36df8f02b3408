/**
 * Kubernetes Events, kept small: the same thing said again raises a count (client-go's EventCorrelator), more
 * than ten different things said for one reason about one object become one line, and what nobody asked about
 * for an hour is forgotten. A guest that provokes events in a loop therefore fills nothing.
 */
import type { KubeObject } from "../../api/object.ts";
import type { Clock } from "../../base/clock.ts";
import { EVENTS, type EventRecord } from "../port.ts";
import { type Ids, type Objects, timestamp } from "./objects.ts";

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
}

export interface RecorderOptions {
  readonly objects: Objects;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Default an hour, as kube-apiserver's `--event-ttl`. */
  readonly ttlSeconds?: number;
}

const COMPONENT = "podtap";
const DISTINCT_MAX = 10;
const COMBINED = "(combined from similar events): ";
const MESSAGE_MAX = 1024;
const PRUNE_EVERY_MS = 60_000;

export class EventRecorder {
  readonly #objects: Objects;
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #ttlMs: number;
  #prunedAt = 0;

  constructor(options: RecorderOptions) {
    this.#objects = options.objects;
    this.#clock = options.clock;
    this.#ids = options.ids;
    this.#ttlMs = (options.ttlSeconds ?? 3600) * 1000;
  }

  record(record: EventRecord): void {
    this.#prune();
    const about = record.about.metadata;
    const namespace = about.namespace || "default";
    const similar = this.#events(namespace).filter(
      (event) =>
        event.involvedObject.uid === about.uid &&
        event.type === record.type &&
        event.reason === record.reason,
    );
    const message = record.message.slice(0, MESSAGE_MAX);
    const same = similar.find((event) => event.message === message);
    const combined = similar.find((event) => event.message.startsWith(COMBINED));
    const text = (COMBINED + message).slice(0, MESSAGE_MAX);
    if (same !== undefined) this.#again(same, message);
    else if (similar.length < DISTINCT_MAX) this.#first(record, namespace, message);
    else if (combined === undefined) this.#first(record, namespace, text);
    else this.#again(combined, text);
  }

  #first(record: EventRecord, namespace: string, message: string): void {
    const { about, type, reason } = record;
    const { name, uid, resourceVersion } = about.metadata;
    const now = timestamp(this.#clock);
    const event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: `${name.slice(0, 240)}.${this.#ids.suffix()}${this.#ids.suffix()}`, namespace },
      involvedObject: {
        kind: about.kind,
        ...(about.metadata.namespace === undefined ? {} : { namespace: about.metadata.namespace }),
        name,
        uid,
        apiVersion: about.apiVersion,
        resourceVersion,
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
    this.#objects.create(EVENTS, event);
  }

  #again(event: KubeEvent, message: string): void {
    const { namespace = "", name } = event.metadata;
    const lastTimestamp = timestamp(this.#clock);
    this.#objects.change(EVENTS, namespace, name, (live) => ({
      ...live,
      message,
      lastTimestamp,
      count: ((live as KubeEvent).count ?? 1) + 1,
    }));
  }

  #events(namespace?: string): readonly KubeEvent[] {
    return this.#objects.list(EVENTS, namespace).map(({ object }) => object as KubeEvent);
  }

  #prune(): void {
    const now = this.#clock.now();
    if (now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    for (const event of this.#events()) {
      const { namespace = "", name, creationTimestamp } = event.metadata;
      const last = Date.parse(event.lastTimestamp ?? creationTimestamp);
      if (now - last > this.#ttlMs) this.#objects.delete(EVENTS, namespace, name);
    }
  }
}
