/**
 * Image references: what a manifest or an override names, and where that is.
 *
 *   quay.io/lab/disk:v1, fedora@sha256:…      a registry (Docker's short names are completed as Docker does)
 *   oci:/path[:tag]                           an OCI image layout
 *   oci-archive:/path.tar[:tag]               the same as a tar
 *   docker-archive:/path.tar[:name:tag]       what `docker save` writes
 *   /path/to/disk.qcow2                       a disk itself; in overrides only
 */
import { imageError } from "./image-error.ts";

export type ImageSource =
  | { readonly kind: "oci" | "oci-archive" | "docker-archive"; readonly path: string; readonly tag?: string }
  | { readonly kind: "disk"; readonly path: string }
  /** `name` is complete: registry, repository, and a tag or a digest. */
  | { readonly kind: "registry"; readonly name: string };

const LOCAL = /^(oci|oci-archive|docker-archive):(.*)$/s;
/** github.com/distribution/reference: domain with port, lower-case path, tag, digest. */
const DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** @throws PodtapError PT-IMAGE-1 */
export function parseImageReference(text: string): ImageSource {
  const local = LOCAL.exec(text);
  if (local !== null) return localSource(local[1] as "oci", local[2] ?? "", text);
  if (text.startsWith("/")) {
    throw notUnderstood(text, "a path alone is taken in overrides only; images are registry references");
  }
  return { kind: "registry", name: completeName(text) };
}

/** What an override leads to: any reference, or the absolute path of a disk. */
export function parseOverrideTarget(text: string): ImageSource {
  return text.startsWith("/") ? { kind: "disk", path: checkedPath(text, text) } : parseImageReference(text);
}

/**
 * The override for an image, if any. Keys are compared as complete names; a key without tag and digest stands for
 * every tag of its repository.
 */
export function overrideFor(image: string, overrides: Readonly<Record<string, string>>): string | undefined {
  if (Object.hasOwn(overrides, image)) return overrides[image];
  const wanted = registryName(image);
  if (wanted === undefined) return undefined;
  const entries = Object.entries(overrides);
  const exact = entries.find(([from]) => registryName(from) === wanted);
  const anyTag = entries.find(
    ([from]) => !hasVersion(from) && repositoryOf(registryName(from) ?? "") === repositoryOf(wanted),
  );
  return (exact ?? anyTag)?.[1];
}

/** `docker.io/library/fedora:latest` → `docker.io/library/fedora`. */
export function repositoryOf(name: string): string {
  return name.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
}

function registryName(text: string): string | undefined {
  if (LOCAL.test(text) || text.startsWith("/")) return undefined;
  try {
    return completeName(text);
  } catch {
    return undefined;
  }
}

function hasVersion(text: string): boolean {
  return text.includes("@") || /:[^/]*$/.test(text.replace(/^[^/]*:\d+\//, ""));
}

function completeName(text: string): string {
  const [named = "", digest, ...rest] = text.split("@");
  const [, repository = "", tag] = /^(.*?)(?::([^/:]*))?$/.exec(named) ?? [];
  const slash = repository.indexOf("/");
  const first = slash < 0 ? "" : repository.slice(0, slash);
  const isDomain = first.includes(".") || first.includes(":") || first === "localhost";
  const domain = isDomain ? first : "docker.io";
  const path = isDomain ? repository.slice(slash + 1) : repository;
  const parts = (domain === "docker.io" && !path.includes("/") ? `library/${path}` : path).split("/");
  if (
    rest.length > 0 ||
    text.length > 512 ||
    !DOMAIN.test(domain) ||
    !parts.every((part) => COMPONENT.test(part)) ||
    (tag !== undefined && !TAG.test(tag)) ||
    (digest !== undefined && !DIGEST.test(digest))
  ) {
    throw notUnderstood(text, "expected [registry/]repository[:tag][@sha256:…]");
  }
  const name = `${domain}/${parts.join("/")}`;
  // With a digest the tag decides nothing, and registries' clients refuse both.
  return digest === undefined ? `${name}:${tag ?? "latest"}` : `${name}@${digest}`;
}

function localSource(
  kind: "oci" | "oci-archive" | "docker-archive",
  rest: string,
  text: string,
): ImageSource {
  const colon = rest.indexOf(":");
  const path = checkedPath(colon < 0 ? rest : rest.slice(0, colon), text);
  const tag = colon < 0 ? "" : rest.slice(colon + 1);
  if (!/^[A-Za-z0-9_][A-Za-z0-9_./:@-]{0,255}$|^$/.test(tag))
    throw notUnderstood(text, "the tag has other characters");
  return tag === "" ? { kind, path } : { kind, path, tag };
}

function checkedPath(path: string, text: string): string {
  const parts = path.split("/");
  if (parts[0] !== "" || path.includes("\0") || parts.includes("..")) {
    throw notUnderstood(text, "the path has to be absolute, without ..");
  }
  return path;
}

function notUnderstood(text: string, why: string): Error {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return imageError("reference", `image ${JSON.stringify(shown)} is not a reference: ${why}`, {
    hint: "write it as quay.io/repository/image:tag, or oci:/path/to/layout:tag",
  });
}
