/** What the words after `get` and `describe` name: kinds, by any of their names, and objects of them. */
import { findResource, RESOURCES, type ResourceInfo } from "../../cluster/local/resources.ts";
import { usageError } from "./failure.ts";

export interface Query {
  readonly resource: ResourceInfo;
  /** Absent: every object of the kind. */
  readonly names?: readonly string[];
}

/** What a VM is made of, for the people who type `podtap get`. */
const DEFAULT_KINDS = "vm,vmi";

/** `vm`, `vm,svc`, `all`, `vmi web other`, `vmi/web svc/web`. */
export function parseQuery(words: readonly string[]): readonly Query[] {
  if (words.some((word) => word.includes("/"))) return words.map(pairOf);
  const [kinds = DEFAULT_KINDS, ...names] = words;
  const resources = kinds.split(",").flatMap(resourcesOf);
  if (names.length > 0 && resources.length > 1) {
    throw usageError("names need one kind", "podtap get vmi NAME, or podtap get vmi/NAME svc/NAME");
  }
  return resources.map((resource) => (names.length === 0 ? { resource } : { resource, names }));
}

function pairOf(word: string): Query {
  const [kind = "", name = "", ...more] = word.split("/");
  if (name === "" || more.length > 0) {
    throw usageError(`'${word}' is not KIND/NAME`, "with one KIND/NAME, all words must be of that form");
  }
  const [resource, ...others] = resourcesOf(kind);
  if (resource === undefined || others.length > 0) throw usageError(`'${kind}' is not one kind`);
  return { resource, names: [name] };
}

function resourcesOf(kind: string): readonly ResourceInfo[] {
  if (kind === "all") return RESOURCES.filter(({ categories }) => categories.includes("all"));
  const found = findResource(kind);
  if (found === undefined) {
    const known = RESOURCES.map(({ shortNames, singular }) => shortNames[0] ?? singular);
    throw usageError(`there is no kind called '${kind}'`, `there are: ${known.join(", ")}, all`);
  }
  return [found];
}
