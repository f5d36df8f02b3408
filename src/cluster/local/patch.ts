/**
 * The patches of the Kubernetes API, as functions of values: JSON patch (RFC 6902), JSON merge patch (RFC 7386),
 * and as much of strategic merge patch as the built-in kinds here need (`kubectl apply` sends it for them): lists
 * of objects are merged by a key, `$patch`, `$setElementOrder` and `$deleteFromPrimitiveList` are understood.
 * Input is hostile JSON, already checked for depth and for `__proto__` (request-body.ts).
 */
import { isDeepStrictEqual } from "node:util";
import { ApiError, badRequest } from "../api-error.ts";

type Json = unknown;
type JsonMap = Record<string, Json>;

function isMap(value: Json): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 7386: null deletes, maps merge, everything else replaces. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const result: JsonMap = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** `x-kubernetes-patch-merge-key` of the lists that occur in the built-in kinds; ports are told apart below. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  ownerReferences: "uid",
  containers: "name",
  initContainers: "name",
  volumes: "name",
  env: "name",
  volumeMounts: "mountPath",
  conditions: "type",
  podIPs: "ip",
  addresses: "type",
  ports: "port",
};
const SETS: ReadonlySet<string> = new Set(["finalizers"]);

export function strategicMergePatch(target: Json, patch: Json): Json {
  if (!isMap(patch)) return patch;
  if (patch["$patch"] === "replace") return withoutDirectives(patch);
  const result: JsonMap = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    const primitive = /^\$deleteFromPrimitiveList\/(.+)$/.exec(key)?.[1];
    if (primitive !== undefined) {
      result[primitive] = listOf(result[primitive]).filter((it) => !listOf(value).includes(it));
    } else if (value === null) delete result[key];
    else if (!key.startsWith("$")) result[key] = mergeField(key, result[key], value);
  }
  for (const [key, order] of Object.entries(patch)) {
    const list = /^\$setElementOrder\/(.+)$/.exec(key)?.[1];
    if (list !== undefined && Array.isArray(result[list]))
      result[list] = ordered(list, result[list], listOf(order));
  }
  return result;
}

function mergeField(key: string, old: Json, value: Json): Json {
  if (!Array.isArray(value)) {
    return isMap(value) && value["$patch"] === "delete" ? {} : strategicMergePatch(old, value);
  }
  if (SETS.has(key)) return [...new Set([...listOf(old), ...value])];
  const mergeKey = mergeKeyOf(key, value);
  if (mergeKey === undefined || value.some((it) => isMap(it) && it["$patch"] === "replace")) {
    return value.filter((it) => !isMap(it) || it["$patch"] === undefined);
  }
  let result = [...listOf(old)];
  for (const item of value.filter(isMap)) {
    const at = result.findIndex((it) => isMap(it) && it[mergeKey] === item[mergeKey]);
    if (item["$patch"] === "delete") result = result.filter((_, i) => i !== at);
    else if (at < 0) result.push(withoutDirectives(item));
    else result[at] = strategicMergePatch(result[at], item);
  }
  return result;
}

function mergeKeyOf(key: string, items: readonly Json[]): string | undefined {
  // A container's ports are merged by containerPort, a Service's by port (`core/v1 types.go`).
  if (key === "ports" && items.some((it) => isMap(it) && "containerPort" in it)) return "containerPort";
  const mergeKey = MERGE_KEYS[key];
  return mergeKey !== undefined && items.every((it) => isMap(it) && (mergeKey in it || "$patch" in it))
    ? mergeKey
    : undefined;
}

function ordered(key: string, items: readonly Json[], order: readonly Json[]): Json[] {
  const mergeKey = mergeKeyOf(key, items);
  const rank = (item: Json): number => {
    const at = order.findIndex((it) =>
      mergeKey !== undefined && isMap(it) && isMap(item) ? it[mergeKey] === item[mergeKey] : it === item,
    );
    return at < 0 ? order.length : at;
  };
  return [...items].sort((a, b) => rank(a) - rank(b));
}

function withoutDirectives(value: JsonMap): JsonMap {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("$")));
}

function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

const OPERATIONS_MAX = 10_000;

/** RFC 6902. A failed operation is a 422, as in Kubernetes; nothing of the patch is applied then. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest("a JSON patch is a list of operations");
  if (patch.length > OPERATIONS_MAX) {
    throw badRequest(`a JSON patch may have ${OPERATIONS_MAX} operations, this has ${patch.length}`);
  }
  const root: { value: Json } = { value: structuredClone(target) };
  patch.forEach((operation: Json, i) => {
    if (!isMap(operation) || typeof operation["path"] !== "string") {
      throw badRequest(`operation ${i} of the JSON patch has no path`);
    }
    applyOperation(root, operation, operation["path"]);
  });
  return root.value;
}

function applyOperation(root: { value: Json }, operation: JsonMap, path: string): void {
  const { op, value } = operation;
  const from = typeof operation["from"] === "string" ? operation["from"] : "";
  if (op === "add") insert(root, path, value);
  else if (op === "remove") detach(root, path);
  else if (op === "replace") {
    detach(root, path);
    insert(root, path, value);
  } else if (op === "move") insert(root, path, detach(root, from));
  else if (op === "copy") insert(root, path, structuredClone(read(root, from)));
  else if (op === "test") {
    if (!isDeepStrictEqual(read(root, path), value)) throw unprocessable(`testing value ${path} failed`);
  } else throw badRequest(`unknown operation ${JSON.stringify(op)} in the JSON patch`);
}

/** The container that holds the last token of a pointer; the root is held by `{value}`. */
function holderOf(
  root: { value: Json },
  pointer: string,
): { readonly holder: JsonMap | Json[]; readonly key: string } {
  if (pointer !== "" && !pointer.startsWith("/")) {
    throw badRequest(`${JSON.stringify(pointer)} is not a JSON pointer`);
  }
  const tokens = ["value", ...pointer.split("/").slice(1)].map((it) =>
    it.replaceAll("~1", "/").replaceAll("~0", "~"),
  );
  if (tokens.includes("__proto__")) throw badRequest("__proto__ is not a key");
  const key = tokens.pop() ?? "";
  let at: Json = root;
  for (const token of tokens) at = Array.isArray(at) ? at[indexIn(at, token, pointer)] : own(at, token);
  if (typeof at !== "object" || at === null)
    throw unprocessable(`there is no ${JSON.stringify(pointer)} in the object`);
  return { holder: at as JsonMap | Json[], key };
}

function own(value: Json, key: string): Json {
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function indexIn(list: readonly Json[], token: string, pointer: string, end = list.length - 1): number {
  const index = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : Number.NaN;
  if (!(index <= end)) throw unprocessable(`there is no ${JSON.stringify(pointer)} in the object`);
  return index;
}

function read(root: { value: Json }, pointer: string): Json {
  const { holder, key } = holderOf(root, pointer);
  return Array.isArray(holder) ? holder[indexIn(holder, key, pointer)] : own(holder, key);
}

function insert(root: { value: Json }, pointer: string, value: Json): void {
  if (value === undefined) throw badRequest(`the operation on ${JSON.stringify(pointer)} has no value`);
  const { holder, key } = holderOf(root, pointer);
  if (!Array.isArray(holder)) holder[key] = value;
  else holder.splice(key === "-" ? holder.length : indexIn(holder, key, pointer, holder.length), 0, value);
}

function detach(root: { value: Json }, pointer: string): Json {
  const { holder, key } = holderOf(root, pointer);
  if (Array.isArray(holder)) return holder.splice(indexIn(holder, key, pointer), 1)[0];
  if (!Object.hasOwn(holder, key))
    throw unprocessable(`there is no ${JSON.stringify(pointer)} in the object to remove`);
  const old = holder[key];
  delete holder[key];
  return old;
}

function unprocessable(why: string): ApiError {
  return new ApiError(
    422,
    "Invalid",
    `the server rejected our request due to an error in our request: ${why}`,
  );
}
