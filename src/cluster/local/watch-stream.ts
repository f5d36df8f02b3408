/**
 * A watch over HTTP: one JSON document a line for as long as the client listens. The client's own speed is the
 * only queue: nothing is taken from the store's history while the socket is full, and a client that slept
 * longer than the history reaches gets `ERROR` 410 and lists again, as from any API server.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { KubeObject } from "../../api/object.ts";
import { expired, groupResource } from "../api-error.ts";
import { Cursor, type SeenChange, seenThrough } from "./cursor.ts";
import { apiVersionOf, type ResourceInfo } from "./resources.ts";
import type { Selects } from "./selectors.ts";
import type { Entry, Store } from "./store.ts";

export interface WatchStream {
  readonly store: Store;
  readonly resource: ResourceInfo;
  readonly selects: Selects;
  /** Only what changed after this revision; undefined: first everything there is. */
  readonly from: number | undefined;
  readonly bookmarks: boolean;
  readonly bookmarkIntervalMs: number;
  /** A bookmark with `k8s.io/initial-events-end` after the first objects (`sendInitialEvents`). */
  readonly markInitialEnd: boolean;
  /** How an object is written: as it is, as a table, as metadata. */
  encode(seen: SeenChange): string;
}

/** Returns when the signal aborts or the watch has expired; the response is ended. */
export async function streamWatch(
  response: ServerResponse,
  watch: WatchStream,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache, private" });
  response.flushHeaders();
  const { store, resource } = watch;
  const cursor = new Cursor(store, groupResource(resource), watch.from ?? store.revision);
  const send = (line: string): Promise<void> => write(response, line, signal);
  if (watch.from === undefined) {
    const present = store.list(groupResource(resource));
    for (const entry of present.filter(({ object }) => watch.selects(object)).map(asAdded)) {
      await send(event(entry.type, watch.encode(entry)));
    }
    if (watch.markInitialEnd) await send(bookmark(resource, cursor.revision, true));
  }
  let due = performance.now() + watch.bookmarkIntervalMs;
  while (!signal.aborted) {
    const changes = cursor.take();
    if (changes === undefined) {
      const gone = expired(String(cursor.revision), store.oldest);
      await send(event("ERROR", JSON.stringify(gone.toStatus())));
      break;
    }
    for (const seen of changes.flatMap((change) => seenThrough(watch.selects, change) ?? [])) {
      await send(event(seen.type, watch.encode(seen)));
    }
    await cursor.wait(signal, watch.bookmarks ? Math.max(0, due - performance.now()) : undefined);
    if (watch.bookmarks && performance.now() >= due) {
      due += watch.bookmarkIntervalMs;
      await send(bookmark(resource, cursor.revision, false));
    }
  }
  response.end();
}

function asAdded({ object, text }: Entry): SeenChange {
  return { type: "ADDED", object, text };
}

function event(type: string, objectText: string): string {
  return `{"type":"${type}","object":${objectText}}\n`;
}

function bookmark(resource: ResourceInfo, revision: number, initialEnd: boolean): string {
  const object: KubeObject = {
    kind: resource.kind,
    apiVersion: apiVersionOf(resource),
    metadata: {
      name: "",
      resourceVersion: String(revision),
      ...(initialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
    },
  };
  return event("BOOKMARK", JSON.stringify(object));
}

async function write(response: ServerResponse, line: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted || response.write(line)) return;
  // An abort while waiting is how every watch ends.
  await once(response, "drain", { signal }).catch(() => undefined);
}
