/**
 * A watch that outlives what it asks: a server may end one when it likes, forget what happened since, or go away. It is
 * begun anew then, everything there is comes again, and what was told before is left out. What was deleted in between
 * is not told of.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { KubeObject } from "../../api/object.ts";
import { PodtapError } from "../../base/errors.ts";
import type { Table } from "../../cluster/local/table.ts";
import type { Resource } from "../../cluster/port.ts";
import type { ApiClient, ClientEvent, WatchOptions } from "./client.ts";

/** A server that ends every watch at once must not be hammered. */
const PAUSE_MS = 100;

export type LastingOptions = Omit<WatchOptions, "resourceVersion"> & { readonly signal: AbortSignal };

/** Until the signal aborts. */
export function lastingWatch<T extends KubeObject>(
  client: ApiClient,
  resource: Resource,
  options: LastingOptions,
): AsyncGenerator<ClientEvent<T>> {
  return lasting(
    client,
    () => client.watch<T>(resource, options),
    ({ metadata }) => metadata,
    options.signal,
  );
}

/** In rows. */
export function lastingTableWatch(
  client: ApiClient,
  resource: Resource,
  options: LastingOptions,
): AsyncGenerator<{ readonly type: string; readonly object: Table }> {
  return lasting(
    client,
    () => client.watchTable(resource, options),
    ({ rows }) => rows[0]?.object?.metadata,
    options.signal,
  );
}

interface Identity {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

async function* lasting<E extends { readonly type: string; readonly object: unknown }>(
  client: ApiClient,
  begin: () => AsyncGenerator<E>,
  identify: (object: E["object"]) => Identity | undefined,
  signal: AbortSignal,
): AsyncGenerator<E> {
  const told = new Map<string, string | undefined>();
  while (!signal.aborted) {
    try {
      for await (const event of begin()) {
        const { uid, resourceVersion } = identify(event.object) ?? {};
        if (uid !== undefined && event.type !== "DELETED") {
          if (told.has(uid) && told.get(uid) === resourceVersion) continue;
          told.set(uid, resourceVersion);
        }
        yield event;
      }
    } catch (thrown) {
      const forgotten = thrown instanceof PodtapError && thrown.code === "PT-API-410";
      if (!forgotten) await client.revived(thrown);
    }
    await pause(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
}
