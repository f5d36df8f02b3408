/**
 * What `apply` sends: the three-way difference of what was applied last (kept in kubectl's own annotation, so
 * that kubectl and podtap can take turns), what is there, and what the manifest says now.
 */
import type { KubeObject } from "../../api/object.ts";

/** kubectl's annotation (`corev1.LastAppliedConfigAnnotation`). */
export const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

type JsonMap = Readonly<Record<string, unknown>>;

export function withLastApplied<T extends KubeObject>(manifest: T): T {
  const annotations = { ...manifest.metadata.annotations, [LAST_APPLIED]: lastAppliedText(manifest) };
  return { ...manifest, metadata: { ...manifest.metadata, annotations } };
}

/** A merge patch that makes the live object what the manifest says; undefined: it is that already. */
export function applyPatch(manifest: KubeObject, live: KubeObject): object | undefined {
  const before = parseLastApplied(live.metadata.annotations?.[LAST_APPLIED]);
  const { status: _status, ...wanted } = withLastApplied(manifest) as KubeObject & JsonMap;
  const patch = difference(before, live as unknown as JsonMap, wanted);
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** What of `wanted` does not hold in `live`, and null for what was applied before and is wanted no more. */
function difference(before: JsonMap, live: JsonMap, wanted: JsonMap): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(wanted)) {
    if (isAbsent(value)) continue;
    const [then, now] = [before[key], live[key]];
    if (isMap(value) && isMap(now)) {
      const inner = difference(isMap(then) ? then : {}, now, value);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (!holds(now, value)) patch[key] = value;
  }
  const dropped = Object.keys(before).filter((key) => key !== "status" && isAbsent(wanted[key]));
  for (const key of dropped) if (live[key] !== undefined) patch[key] = null;
  return patch;
}

/** kubectl's form: keys sorted, annotations present, a line end; so that it sees no difference either. */
function lastAppliedText(manifest: KubeObject): string {
  const { status: _status, ...rest } = manifest;
  const { [LAST_APPLIED]: _last, ...annotations } = manifest.metadata.annotations ?? {};
  const sorted = sortKeys({ ...rest, metadata: { ...manifest.metadata, annotations } });
  return `${JSON.stringify(sorted)}\n`;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isMap(value)) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sortKeys(inner)]),
  );
}

function parseLastApplied(text: string | undefined): JsonMap {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return isMap(value) ? value : {};
  } catch {
    // Written by hand; nothing is known about what was applied.
    return {};
  }
}

/**
 * Does the live value have everything the manifest says? Items of lists may have more fields: those are the
 * server's defaults, and sending the list again would only have them filled in again.
 */
function holds(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(live) && live.length === wanted.length && wanted.every((it, i) => holds(live[i], it))
    );
  }
  if (!isMap(wanted)) return live === wanted;
  return isMap(live) && Object.entries(wanted).every(([key, it]) => isAbsent(it) || holds(live[key], it));
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function isMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
