/** A controller: watches resources, maps what changed to keys, reconciles each key through a work queue. */
import type { KubeObject } from "../../api/object.ts";
import type { Cluster, Resource } from "../port.ts";
import { type Requeue, type Timers, workQueue } from "./work-queue.ts";

export interface WatchSpec {
  readonly resource: Resource;
  /** Keys that a change of this object concerns; usually its own or its owner's. */
  keysOf(object: KubeObject): readonly string[];
}

export interface ControllerOptions {
  readonly name: string;
  readonly watches: readonly WatchSpec[];
  reconcile(key: string): Promise<Requeue>;
}

export interface ControllerEnvironment {
  readonly cluster: Cluster;
  readonly timers: Timers;
  /** RFC 3339 */
  now(): string;
  warn(controller: string, key: string, thrown: unknown): void;
}

/** Runs until the signal aborts; resolves when the last run has ended. */
export async function runController(
  options: ControllerOptions,
  environment: ControllerEnvironment,
  signal: AbortSignal,
): Promise<void> {
  const queue = workQueue(options.reconcile, environment.timers, (key, thrown) =>
    environment.warn(options.name, key, thrown),
  );
  await Promise.all(options.watches.map((watch) => follow(watch)));
  await queue.stop();

  async function follow({ resource, keysOf }: WatchSpec): Promise<void> {
    for await (const event of environment.cluster.watch(resource, {}, signal)) {
      if (event.type === "BOOKMARK") continue;
      for (const key of keysOf(event.object)) queue.add(key);
    }
  }
}

export function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Keys of the objects of one kind that own this one. */
export function ownerKeys(object: KubeObject, kind: string): readonly string[] {
  return (object.metadata.ownerReferences ?? [])
    .filter((owner) => owner.kind === kind)
    .map((owner) => `${object.metadata.namespace ?? ""}/${owner.name}`);
}
