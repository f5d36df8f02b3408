/**
 * What a watcher was told so far. When its watch cannot go on (too far behind, connection lost), what is listed
 * anew is compared with it, so that the watcher still learns of every deletion and every last version.
 */
import type { KubeObject } from "../api/object.ts";

export interface ToldChange<T extends KubeObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

export class Told<T extends KubeObject> {
  /** By uid: an object made anew under the same name is another one. */
  readonly #objects = new Map<string, T>();

  remember({ type, object }: ToldChange<T>): void {
    const { uid = "" } = object.metadata;
    if (type === "DELETED") this.#objects.delete(uid);
    else this.#objects.set(uid, object);
  }

  /** What has to be said for the watcher to know the current objects; deletions first. */
  changesTo(current: readonly T[]): readonly ToldChange<T>[] {
    const uids = new Set(current.map(({ metadata }) => metadata.uid));
    const gone = [...this.#objects.values()].filter(({ metadata }) => !uids.has(metadata.uid));
    return [
      ...gone.map((object) => ({ type: "DELETED" as const, object })),
      ...current.flatMap((object): ToldChange<T>[] => {
        const before = this.#objects.get(object.metadata.uid ?? "");
        if (before?.metadata.resourceVersion === object.metadata.resourceVersion && before !== undefined)
          return [];
        return [{ type: before === undefined ? "ADDED" : "MODIFIED", object }];
      }),
    ];
  }
}
