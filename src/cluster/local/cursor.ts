/**
 * A place in the store's history. Whoever watches pulls at its own speed; nothing is queued for it. `take`
 * gives what came since, `wait` sleeps until there is more.
 */
import type { KubeObject } from "../../api/object.ts";
import type { Selects } from "./selectors.ts";
import type { Change, Store } from "./store.ts";

export class Cursor {
  readonly #store: Store;
  readonly #resource: string;
  #revision: number;

  constructor(store: Store, resource: string, revision: number) {
    this.#store = store;
    this.#resource = resource;
    this.#revision = revision;
  }

  /** Everything up to this revision has been taken. */
  get revision(): number {
    return this.#revision;
  }

  /** Undefined: the history no longer reaches back this far; list again. */
  take(): readonly Change[] | undefined {
    const changes = this.#store.changesAfter(this.#revision);
    if (changes === undefined) return undefined;
    this.#revision = this.#store.revision;
    return changes.filter((change) => change.resource === this.#resource);
  }

  /** Until there is something to take, the time is up, or the signal aborts; never rejects. */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#store.revision !== this.#revision) return resolve();
      const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
      const unsubscribe = this.#store.onCommit(done);
      signal.addEventListener("abort", done);
      function done(): void {
        clearTimeout(timer);
        unsubscribe();
        signal.removeEventListener("abort", done);
        resolve();
      }
    });
  }
}

export interface SeenChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubeObject;
  readonly text: string;
}

/**
 * A change as a watcher of a selection sees it: an object that stops matching is DELETED for it, one that
 * starts to is ADDED (`cacher.go: convertToWatchEvent`).
 */
export function seenThrough(selects: Selects, change: Change): SeenChange | undefined {
  const { type, object, text, previous } = change;
  const before = previous !== undefined && selects(previous);
  const after = type !== "DELETED" && selects(object);
  if (after) return { type: before ? "MODIFIED" : "ADDED", object, text };
  if (!before) return undefined;
  if (type === "DELETED") return { type, object, text };
  const left = {
    ...previous,
    metadata: { ...previous.metadata, resourceVersion: String(change.revision) },
  };
  return { type: "DELETED", object: left, text: JSON.stringify(left) };
}
