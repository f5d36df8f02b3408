/**
 * The CLI's way to a cluster: objects over Kubernetes' REST API on the daemon's socket. Imports next to nothing,
 * because every command pays for its start. Errors are those of client-http.ts.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { KubeObject } from "../../api/object.ts";
import { PodtapError } from "../../base/errors.ts";
import { apiErrorFrom, isAlreadyExists, isNotFound, type Status } from "../../cluster/api-error.ts";
import { type ResourceInfo, resourceOf, resourcePath } from "../../cluster/local/resources.ts";
import type { Table } from "../../cluster/local/table.ts";
import type { DeleteOptions, Resource } from "../../cluster/port.ts";
import { applyPatch, withLastApplied } from "./client-apply.ts";
import { HttpConnection } from "./client-http.ts";

export interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

export interface Selecting extends Place {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ClientEvent<T extends KubeObject = KubeObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

export interface Applied<T extends KubeObject = KubeObject> {
  readonly object: T;
  readonly outcome: "created" | "configured" | "unchanged";
  /** What admission let pass, but finds odd. */
  readonly warnings: readonly string[];
}

export interface List<T extends KubeObject = KubeObject> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly T[];
}

export interface WatchOptions extends Selecting {
  /** Only what changed since; absent: first everything there is. */
  readonly resourceVersion?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const MERGE_PATCH = "application/merge-patch+json";
/** Somebody else made or removed the object between our question and our answer to it, or the daemon went away. */
const APPLY_TRIES = 3;
/** Between an ended watch and the next list; a daemon that closes every watch at once must not be hammered. */
const RELIST_PAUSE_MS = 100;

export class ApiClient extends HttpConnection {
  /** @throws ApiError NotFound */
  async get<T extends KubeObject>(resource: Resource, place: Place): Promise<T> {
    return (await this.request(resourcePath(resource, pathOf(place)))).body as T;
  }

  async find<T extends KubeObject>(resource: Resource, place: Place): Promise<T | undefined> {
    try {
      return await this.get<T>(resource, place);
    } catch (thrown) {
      if (isNotFound(thrown)) return undefined;
      throw thrown;
    }
  }

  async list<T extends KubeObject>(resource: Resource, selecting: Selecting = {}): Promise<List<T>> {
    const path = resourcePath(resource, pathOf({ namespace: selecting.namespace }));
    return (await this.request(path, { query: queryOf(selecting) })).body as List<T>;
  }

  /** What `get` shows, as the server lays it out: one object with a name, otherwise a list. */
  async table(resource: Resource, selecting: Selecting = {}): Promise<Table> {
    const path = resourcePath(resource, pathOf(selecting));
    return (await this.request(path, { query: queryOf(selecting), accept: TABLE })).body as Table;
  }

  async create<T extends KubeObject>(object: T): Promise<Applied<T>> {
    const path = resourcePath(infoOf(object), namespaceOf(object));
    const { body, warnings } = await this.request(path, { method: "POST", body: object });
    return { object: body as T, outcome: "created", warnings };
  }

  /** Conflicts when the resourceVersion in the object is not the current one. */
  async replace<T extends KubeObject>(object: T, subresource?: "status"): Promise<T> {
    const { name } = object.metadata;
    const at = { ...namespaceOf(object), name, ...(subresource === undefined ? {} : { subresource }) };
    return (await this.request(resourcePath(infoOf(object), at), { method: "PUT", body: object })).body as T;
  }

  /** A merge patch: null removes a field, lists are replaced. */
  async patch<T extends KubeObject>(resource: Resource, place: Place, patch: object): Promise<Applied<T>> {
    const options = { method: "PATCH", body: patch, contentType: MERGE_PATCH };
    const { body, warnings } = await this.request(resourcePath(resource, pathOf(place)), options);
    return { object: body as T, outcome: "configured", warnings };
  }

  /**
   * As `kubectl apply`: makes the object, or brings the one there is to what the manifest says. Fields that an
   * earlier apply set and this manifest no longer has are removed; fields of others stay.
   */
  async apply<T extends KubeObject>(given: T): Promise<Applied<T>> {
    const info = infoOf(given);
    // As kubectl: the namespace becomes part of what was applied, so that leaving it out later is no change.
    const manifest = { ...given, metadata: { ...given.metadata, ...namespaceOf(given) } };
    const place = { ...namespaceOf(given), name: given.metadata.name };
    let cut: "created" | "configured" | undefined;
    for (let tries = 1; ; tries++) {
      const live = await this.find<T>(info, place);
      try {
        if (live === undefined) return await this.create(withLastApplied(manifest));
        const patch = applyPatch(manifest, live);
        if (patch === undefined) return { object: live, outcome: cut ?? "unchanged", warnings: [] };
        const patched = await this.patch<T>(info, place, patch);
        const same = patched.object.metadata.resourceVersion === live.metadata.resourceVersion;
        return { ...patched, outcome: same ? "unchanged" : "configured" };
      } catch (thrown) {
        if (tries >= APPLY_TRIES) throw thrown;
        if (isAlreadyExists(thrown) || isNotFound(thrown)) continue;
        await this.revived(thrown);
        // It may have been done before the daemon went away.
        cut = live === undefined ? "created" : "configured";
      }
    }
  }

  /** False when there was none. */
  async delete(resource: Resource, place: Place, options: DeleteOptions = {}): Promise<boolean> {
    const { uid, propagation: propagationPolicy, gracePeriodSeconds } = options;
    const preconditions = uid === undefined ? undefined : { uid };
    const kind = "DeleteOptions";
    const body = { kind, apiVersion: "v1", propagationPolicy, gracePeriodSeconds, preconditions };
    for (let found = false; ; found = true) {
      try {
        await this.request(resourcePath(resource, pathOf(place)), { method: "DELETE", body });
        return true;
      } catch (thrown) {
        if (isNotFound(thrown)) return found;
        // Not there the next time: then it was this that deleted it.
        await this.revived(thrown);
      }
    }
  }

  /**
   * One watch of the server: until the signal aborts (ends quietly) or the server ends it.
   * @throws ApiError PT-API-410 when the version is too old: list again. PT-ENV-7 when the daemon went away.
   */
  watch<T extends KubeObject>(
    resource: Resource,
    options: WatchOptions = {},
  ): AsyncGenerator<ClientEvent<T>> {
    return this.#watch<T>(resource, options, "application/json") as AsyncGenerator<ClientEvent<T>>;
  }

  /** A watch in rows; only the first table carries columns. */
  watchTable(
    resource: Resource,
    options: WatchOptions = {},
  ): AsyncGenerator<{ readonly type: string; readonly object: Table }> {
    return this.#watch<Table>(resource, options, TABLE);
  }

  /**
   * Waits until the condition holds for the object (undefined: there is none) and returns it. Goes on after an
   * expired or broken watch; when the daemon is gone, that is the error.
   * @throws the signal's reason once it aborts
   */
  async waitFor<T extends KubeObject>(
    resource: Resource,
    { namespace, name }: { readonly namespace?: string | undefined; readonly name: string },
    condition: (object: T | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const where = { namespace, fieldSelector: `metadata.name=${name}` };
    for (;;) {
      signal.throwIfAborted();
      const { items, metadata } = await this.list<T>(resource, where);
      if (condition(items[0])) return items[0];
      const { resourceVersion } = metadata;
      try {
        for await (const { type, object } of this.watch<T>(resource, { ...where, resourceVersion, signal })) {
          if (type === "BOOKMARK") continue;
          const now = type === "DELETED" ? undefined : object;
          if (condition(now)) return now;
        }
      } catch (thrown) {
        if (!isForRelisting(thrown)) throw thrown;
      }
      await pause(RELIST_PAUSE_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  async *#watch<O>(
    resource: Resource,
    options: WatchOptions,
    accept: string,
  ): AsyncGenerator<{ readonly type: ClientEvent["type"]; readonly object: O }> {
    const { resourceVersion, signal } = options;
    const query = { ...queryOf(options), watch: "true", resourceVersion };
    let response: IncomingMessage | undefined;
    try {
      response = await this.open(resourcePath(resource, pathOf(options)), { accept, query, signal });
      for await (const line of linesOf(response)) {
        const { type, object } = JSON.parse(line) as { type: ClientEvent["type"] | "ERROR"; object: O };
        if (type === "ERROR") throw apiErrorFrom(500, object as Partial<Status>);
        yield { type, object };
      }
    } catch (thrown) {
      if (signal?.aborted) return;
      throw thrown instanceof PodtapError ? thrown : this.broken(thrown);
    } finally {
      response?.destroy();
    }
  }
}

function isForRelisting(thrown: unknown): boolean {
  return thrown instanceof PodtapError && (thrown.code === "PT-API-410" || thrown.code === "PT-ENV-7");
}

function infoOf(object: KubeObject): ResourceInfo {
  const info = resourceOf(object);
  if (info !== undefined) return info;
  throw new PodtapError({
    code: "PT-MANIFEST-3",
    message: `podtap keeps no ${object.kind} of ${object.apiVersion}`,
    hint: "'podtap get --help' lists the kinds it keeps",
    blame: "manifest",
  });
}

function namespaceOf(object: KubeObject): { readonly namespace?: string } {
  return infoOf(object).namespaced ? { namespace: object.metadata.namespace || "default" } : {};
}

function pathOf({ namespace, name }: Place): { readonly namespace?: string; readonly name?: string } {
  return { ...(namespace === undefined ? {} : { namespace }), ...(name === undefined ? {} : { name }) };
}

function queryOf({ labelSelector, fieldSelector }: Selecting): Readonly<Record<string, string | undefined>> {
  return { labelSelector, fieldSelector };
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding("utf8");
  let rest = "";
  for await (const part of response as AsyncIterable<string>) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
  }
}
