/** The verbs of the REST API on objects: from a parsed path and a request to `Objects` and back. */
import type { KubeObject } from "../../api/object.ts";
import type { Clock } from "../../base/clock.ts";
import { ApiError, badRequest, groupResource, unknownResource, unsupportedMediaType } from "../api-error.ts";
import { answerBody, type Format, negotiate, setWarnings } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { LocalCluster } from "./local-cluster.ts";
import type { ObjectPath } from "./object-path.ts";
import type { Outcome } from "./objects.ts";
import { jsonPatch, mergePatch, strategicMergePatch } from "./patch.ts";
import { PROTOBUF } from "./protobuf-body.ts";
import type { Propagation } from "./removal.ts";
import { mediaTypeOf, readBody } from "./request-body.ts";
import { apiVersionOf, type ResourceInfo } from "./resources.ts";
import type { DeleteOptions } from "./rules.ts";
import { type Selection, selects } from "./selectors.ts";
import type { Entry } from "./store.ts";
import { columnDefinitions, type IncludeObject, partialMetadata, table, tableRow } from "./table.ts";
import { streamWatch } from "./watch-stream.ts";

export interface ObjectRequests {
  readonly cluster: LocalCluster;
  readonly clock: Clock;
  readonly bookmarkIntervalMs: number;
}

export async function answerObjects(env: ObjectRequests, at: ObjectPath, exchange: Exchange): Promise<void> {
  if (at.subresource !== undefined && !(at.subresource === "status" && at.resource.hasStatus)) {
    throw unknownResource();
  }
  const format = negotiate(exchange.request.headers.accept);
  const { method } = exchange;
  if (method === "GET" || method === "HEAD") {
    if (isWatch(exchange.query)) return answerWatch(env, at, exchange, format);
    return at.name === undefined
      ? answerList(env, at, exchange, format)
      : answerGet(env, at, exchange, format);
  }
  if (method === "POST" && isMakeable(at)) return answerCreate(env, at, exchange);
  if (method === "PUT" && at.name !== undefined) return answerUpdate(env, at, exchange);
  if (method === "PATCH" && at.name !== undefined) return answerPatch(env, at, exchange);
  if (method === "DELETE" && at.subresource === undefined) return answerDelete(env, at, exchange);
  throw new ApiError(
    405,
    "MethodNotAllowed",
    "the server does not allow this method on the requested resource",
  );
}

/** Making happens on a collection, and for what lives in a namespace on a namespace's. */
function isMakeable(at: ObjectPath): boolean {
  return at.name === undefined && (at.namespace !== undefined || !at.resource.namespaced);
}

function isWatch(query: URLSearchParams): boolean {
  return ["true", "1"].includes(query.get("watch") ?? "");
}

function answerGet(env: ObjectRequests, at: ObjectPath, { response, query }: Exchange, format: Format): void {
  const entry = env.cluster.objects.get(at.resource, at.namespace ?? "", at.name ?? "");
  if (format !== "table") {
    const body = format === "metadata" ? partialMetadata(entry.object) : entry.text;
    answerBody(response, 200, body);
    return;
  }
  const { resourceVersion } = entry.object.metadata;
  answerBody(response, 200, tableOf(env, at, [entry], query, { resourceVersion }));
}

function answerList(
  env: ObjectRequests,
  at: ObjectPath,
  { response, query }: Exchange,
  format: Format,
): void {
  const { store } = env.cluster.objects;
  const asked = revisionOf(query.get("resourceVersion"));
  // As etcd's compaction error in the other direction: a client that knows more than there is (a store that was
  // moved away) must not take an old list for a new one.
  if (asked > store.revision) {
    throw new ApiError(504, "Timeout", `Too large resource version: ${asked}, current: ${store.revision}`, {
      details: { causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }] },
    });
  }
  const matching = selects(selectionOf(at, query), at.resource);
  const all = env.cluster.objects.list(at.resource, at.namespace).filter(({ object }) => matching(object));
  const { page, token, remaining } = pageOf(all, query);
  const metadata = {
    resourceVersion: String(store.revision),
    ...(token === undefined ? {} : { continue: token, remainingItemCount: remaining }),
  };
  if (format === "table") answerBody(response, 200, tableOf(env, at, page, query, metadata));
  else if (format === "metadata") {
    const items = page.map(({ object }) => partialMetadata(object));
    const kind = "PartialObjectMetadataList";
    answerBody(response, 200, { kind, apiVersion: "meta.k8s.io/v1", metadata, items });
  } else {
    const head = JSON.stringify({
      kind: `${at.resource.kind}List`,
      apiVersion: apiVersionOf(at.resource),
      metadata,
    });
    // The objects are JSON already.
    answerBody(response, 200, `${head.slice(0, -1)},"items":[${page.map(({ text }) => text).join(",")}]}`);
  }
}

async function answerWatch(
  env: ObjectRequests,
  at: ObjectPath,
  { response, query, signal }: Exchange,
  format: Format,
): Promise<void> {
  const resourceVersion = query.get("resourceVersion") ?? "";
  const initial = query.get("sendInitialEvents") === "true";
  const timeout = Number(query.get("timeoutSeconds") ?? "0");
  const until = timeout > 0 ? AbortSignal.any([signal, AbortSignal.timeout(timeout * 1000)]) : signal;
  let first = true;
  const encode = (object: KubeObject, text: string): string => {
    if (format === "json") return text;
    if (format === "metadata") return JSON.stringify(partialMetadata(object));
    const resource = groupResource(at.resource);
    const rows = [tableRow(resource, object, includeOf(query), env.clock.now())];
    // Only the first document carries the columns, as from the API server.
    const columns = first ? columnDefinitions(resource) : [];
    first = false;
    return JSON.stringify(table(rows, columns, { resourceVersion: object.metadata.resourceVersion }));
  };
  await streamWatch(
    response,
    {
      store: env.cluster.objects.store,
      resource: at.resource,
      selects: selects(selectionOf(at, query), at.resource),
      from:
        initial || resourceVersion === "" || resourceVersion === "0"
          ? undefined
          : revisionOf(resourceVersion),
      bookmarks: ["true", "1"].includes(query.get("allowWatchBookmarks") ?? ""),
      bookmarkIntervalMs: env.bookmarkIntervalMs,
      markInitialEnd: initial,
      encode: ({ object, text }) => encode(object, text),
    },
    until,
  );
}

async function answerCreate(env: ObjectRequests, at: ObjectPath, exchange: Exchange): Promise<void> {
  const object = await readObject(at, exchange);
  const outcome = env.cluster.objects.create(at.resource, placed(at, object), dryRunOf(exchange.query));
  answerOutcome(exchange, 201, outcome);
}

async function answerUpdate(env: ObjectRequests, at: ObjectPath, exchange: Exchange): Promise<void> {
  const wanted = placed(at, await readObject(at, exchange));
  const outcome = env.cluster.objects.change(at.resource, at.namespace ?? "", at.name ?? "", () => wanted, {
    ...dryRunOf(exchange.query),
    ...subresourceOf(at),
  });
  answerOutcome(exchange, 200, outcome);
}

const APPLY_PATCH = "application/apply-patch+yaml";
const PATCHES: Readonly<Record<string, (target: unknown, patch: unknown) => unknown>> = {
  "application/json-patch+json": jsonPatch,
  "application/merge-patch+json": mergePatch,
  "application/strategic-merge-patch+json": strategicMergePatch,
  // Server-side apply without field owners: what is sent is merged over what there is.
  [APPLY_PATCH]: mergePatch,
};

async function answerPatch(env: ObjectRequests, at: ObjectPath, exchange: Exchange): Promise<void> {
  const type = mediaTypeOf(exchange.request);
  const apply = Object.hasOwn(PATCHES, type) ? PATCHES[type] : undefined;
  if (apply === undefined) throw unsupportedMediaType(type, Object.keys(PATCHES));
  const patch = await readBody(exchange.request);
  if (patch === undefined) throw badRequest("the patch is empty");
  const { objects } = env.cluster;
  const { namespace = "", name = "" } = at;
  if (type === APPLY_PATCH && objects.find(at.resource, namespace, name) === undefined) {
    const outcome = objects.create(at.resource, placed(at, asObject(patch)), dryRunOf(exchange.query));
    return answerOutcome(exchange, 201, outcome);
  }
  // Custom kinds have no merge keys; a strategic patch of one is a merge patch.
  const merge = at.resource.builtIn || apply !== strategicMergePatch ? apply : mergePatch;
  const outcome = objects.change(
    at.resource,
    namespace,
    name,
    (live) => checkPatched(live, asObject(merge(live, patch))),
    { ...dryRunOf(exchange.query), ...subresourceOf(at) },
  );
  answerOutcome(exchange, 200, outcome);
}

function checkPatched(live: KubeObject, patched: KubeObject): KubeObject {
  const { metadata } = patched;
  if (metadata?.namespace !== live.metadata.namespace) {
    throw badRequest("the namespace of an object cannot be changed");
  }
  return patched;
}

async function answerDelete(env: ObjectRequests, at: ObjectPath, exchange: Exchange): Promise<void> {
  const options = deleteOptions(await readBody(exchange.request), exchange.query);
  const { objects } = env.cluster;
  if (at.name === undefined) {
    if (at.resource.namespaced && at.namespace === undefined) {
      throw new ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
      );
    }
    const matching = selects(selectionOf(at, exchange.query), at.resource);
    const items = objects.list(at.resource, at.namespace).filter(({ object }) => matching(object));
    for (const { object } of items) {
      const { namespace = "", name } = object.metadata;
      // Gone already when another of the list owned it.
      if (objects.find(at.resource, namespace, name) !== undefined) {
        objects.delete(at.resource, namespace, name, options);
      }
    }
    const kind = `${at.resource.kind}List`;
    const metadata = { resourceVersion: String(objects.store.revision) };
    const list = {
      kind,
      apiVersion: apiVersionOf(at.resource),
      metadata,
      items: items.map((it) => it.object),
    };
    answerBody(exchange.response, 200, list);
    return;
  }
  const { object, gone } = objects.delete(at.resource, at.namespace ?? "", at.name, options);
  answerBody(exchange.response, 200, gone ? deleted(at.resource, object) : object);
}

function deleted({ group, plural }: ResourceInfo, { metadata }: KubeObject): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name: metadata.name, ...(group === "" ? {} : { group }), kind: plural, uid: metadata.uid },
  };
}

function answerOutcome({ response }: Exchange, status: number, { object, warnings }: Outcome): void {
  setWarnings(response, warnings);
  answerBody(response, status, object);
}

async function readObject(at: ObjectPath, { request }: Exchange): Promise<KubeObject> {
  const type = mediaTypeOf(request);
  const accepted = ["application/json", PROTOBUF];
  if (type !== "" && !accepted.includes(type)) throw unsupportedMediaType(type, accepted);
  const body = await readBody(request);
  if (body === undefined)
    throw badRequest(`the body of the request is empty; a ${at.resource.kind} is wanted`);
  return asObject(body);
}

function asObject(body: unknown): KubeObject {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest("the body of the request is not an object");
  }
  const metadata: unknown = (body as Partial<KubeObject>).metadata ?? {};
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw badRequest("metadata of the object is not an object");
  }
  return { ...(body as KubeObject), metadata: metadata as KubeObject["metadata"] };
}

/** The URL says where an object is; a body may leave it out, but not say otherwise. */
function placed(at: ObjectPath, object: KubeObject): KubeObject {
  const { namespace, name } = object.metadata;
  if (
    at.namespace !== undefined &&
    namespace !== undefined &&
    namespace !== "" &&
    namespace !== at.namespace
  ) {
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request: ${namespace} is not ${at.namespace}`,
    );
  }
  if (at.name !== undefined && name !== undefined && name !== at.name) {
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${at.name})`);
  }
  const where = at.namespace === undefined ? {} : { namespace: at.namespace };
  return {
    ...object,
    metadata: { ...object.metadata, ...where, ...(at.name === undefined ? {} : { name: at.name }) },
  };
}

function dryRunOf(query: URLSearchParams): { readonly dryRun?: boolean } {
  const values = query.getAll("dryRun");
  if (values.length === 0) return {};
  if (values.some((it) => it !== "All"))
    throw badRequest(`dryRun: Unsupported value: supported values: "All"`);
  return { dryRun: true };
}

function subresourceOf(at: ObjectPath): { readonly subresource?: "status" } {
  return at.subresource === "status" ? { subresource: "status" } : {};
}

/** From the body (`metav1.DeleteOptions`) and, where it is silent, the query. */
function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const given = (typeof body === "object" && body !== null ? body : {}) as {
    propagationPolicy?: unknown;
    orphanDependents?: unknown;
    gracePeriodSeconds?: unknown;
    preconditions?: { uid?: unknown; resourceVersion?: unknown } | null;
    dryRun?: unknown;
  };
  const policy =
    given.propagationPolicy ??
    query.get("propagationPolicy") ??
    (given.orphanDependents === true ? "Orphan" : "Background");
  if (policy !== "Background" && policy !== "Foreground" && policy !== "Orphan") {
    throw badRequest(`propagationPolicy: Unsupported value: ${JSON.stringify(policy)}`);
  }
  const grace = given.gracePeriodSeconds ?? query.get("gracePeriodSeconds");
  const { uid, resourceVersion } = given.preconditions ?? {};
  const dryRun =
    (Array.isArray(given.dryRun) && given.dryRun.includes("All")) || dryRunOf(query).dryRun === true;
  return {
    propagation: policy satisfies Propagation,
    dryRun,
    ...(typeof uid === "string" ? { uid } : {}),
    ...(typeof resourceVersion === "string" ? { resourceVersion } : {}),
    ...(grace !== null && Number.isInteger(Number(grace)) ? { gracePeriodSeconds: Number(grace) } : {}),
  };
}

function selectionOf(at: ObjectPath, query: URLSearchParams): Selection {
  const field = [query.get("fieldSelector"), at.name === undefined ? null : `metadata.name=${at.name}`];
  return {
    namespace: at.namespace,
    labelSelector: query.get("labelSelector") ?? undefined,
    fieldSelector: field.filter((it) => it !== null && it !== "").join(","),
  };
}

function revisionOf(text: string | null): number {
  if (text === null || text === "") return 0;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text)}`);
  return Number(text);
}

/** `limit` and `continue`: the token names the last object given out; later pages are of a later revision. */
function pageOf(
  all: readonly Entry[],
  query: URLSearchParams,
): { readonly page: readonly Entry[]; readonly token?: string; readonly remaining?: number } {
  const limit = Number(query.get("limit") ?? "0");
  const after = query.get("continue") ?? "";
  const last = after === "" ? undefined : Buffer.from(after, "base64url").toString();
  const rest = last === undefined ? all : all.filter(({ object }) => keyOf(object) > last);
  if (!(limit > 0) || rest.length <= limit) return { page: rest };
  const page = rest.slice(0, limit);
  const end = page.at(-1);
  const token = Buffer.from(end === undefined ? "" : keyOf(end.object)).toString("base64url");
  return { page, token, remaining: rest.length - page.length };
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}

function tableOf(
  env: ObjectRequests,
  at: ObjectPath,
  entries: readonly Entry[],
  query: URLSearchParams,
  metadata: object,
): object {
  const resource = groupResource(at.resource);
  const now = env.clock.now();
  const rows = entries.map(({ object }) => tableRow(resource, object, includeOf(query), now));
  return table(rows, columnDefinitions(resource), metadata);
}

function includeOf(query: URLSearchParams): IncludeObject {
  const include = query.get("includeObject") ?? "";
  if (include === "None" || include === "Object" || include === "Metadata") return include;
  if (include === "") return "Metadata";
  throw badRequest(`includeObject: Unsupported value: ${JSON.stringify(include)}`);
}
