/** REST paths of objects ⇄ what they name. Nothing is normalised: `..` in a path is an error, not a step up. */
import { badRequest } from "../api-error.ts";
import { type ResourceInfo, resourceAt } from "./resources.ts";

export interface ObjectPath {
  readonly resource: ResourceInfo;
  /** Absent: cluster-wide. */
  readonly namespace?: string;
  readonly name?: string;
  /** `status`, `log`, `portforward`. */
  readonly subresource?: string;
}

/** Segments of a raw request path, decoded one by one, so that an encoded slash stays part of a name. */
export function pathSegments(rawPath: string): readonly string[] {
  const segments = rawPath.replace(/^\//, "").replace(/\/$/, "").split("/");
  return segments.map((raw) => {
    const segment = decode(raw);
    // `path.IsValidPathSegmentName` of Kubernetes, and NUL.
    if (segment === "." || segment === ".." || /[/%\0]/.test(segment)) {
      throw badRequest(
        `Name parameter invalid: ${JSON.stringify(segment)}: may not be '.', '..' or contain '/', '%'`,
      );
    }
    return segment;
  });
}

/** Undefined where the path names no resource that is served. */
export function parseObjectPath(segments: readonly string[]): ObjectPath | undefined {
  const [root] = segments;
  const group = root === "api" ? "" : root === "apis" ? segments[1] : undefined;
  const version = segments[root === "api" ? 1 : 2];
  const rest = segments.slice(root === "api" ? 2 : 3);
  if (group === undefined || version === undefined || (root === "apis" && group === "")) return undefined;
  // `namespaces/x/pods` is inside a namespace; `namespaces/x` and `namespaces/x/status` are the namespace itself.
  const inside = rest[0] === "namespaces" && rest.length > 2 && !isNamespaceSubresource(group, rest[2]);
  const [plural, name, ...sub] = inside ? rest.slice(2) : rest;
  const resource = plural === undefined ? undefined : resourceAt(group, version, plural);
  if (resource === undefined) return undefined;
  if (inside && !resource.namespaced) return undefined;
  // Something with a name lives in a namespace, unless its kind lives in none.
  if (!inside && resource.namespaced && name !== undefined) return undefined;
  return {
    resource,
    ...(inside ? { namespace: rest[1] ?? "" } : {}),
    ...(name === undefined ? {} : { name }),
    ...(sub.length === 0 ? {} : { subresource: sub.join("/") }),
  };
}

function isNamespaceSubresource(group: string, segment: string | undefined): boolean {
  return group === "" && (segment === "status" || segment === "finalize");
}

function decode(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw badRequest(`${JSON.stringify(raw)} in the path is not valid percent-encoding`);
  }
}
