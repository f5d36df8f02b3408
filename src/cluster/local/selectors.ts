/** Label and field selectors, in Kubernetes' grammar (`labels.Parse`, `fields.ParseSelector`). */
import type { KubeObject } from "../../api/object.ts";
import { badRequest } from "../api-error.ts";
import type { ResourceInfo } from "./resources.ts";

export type Selects = (object: KubeObject) => boolean;
type Labels = Readonly<Record<string, string>>;

const KEY = String.raw`(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?`;
const VALUE = String.raw`(?:[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)?`;
const EQUALITY = new RegExp(String.raw`^(${KEY})\s*(==|=|!=)\s*(${VALUE})$`);
const SET = new RegExp(String.raw`^(${KEY})\s+(in|notin)\s*\(([^()]*)\)$`);
const EXISTS = new RegExp(String.raw`^(!?)\s*(${KEY})$`);
const ORDER = new RegExp(String.raw`^(${KEY})\s*([<>])\s*(\d+)$`);

/** `app=web,tier!=db,env in (a,b),!canary`. Undefined or empty selects everything. */
export function parseLabelSelector(text: string | undefined): (labels: Labels) => boolean {
  const requirements = splitOutsideParentheses(text ?? "").map(parseRequirement);
  return (labels) => requirements.every((holds) => holds(labels));
}

function parseRequirement(text: string): (labels: Labels) => boolean {
  const equality = EQUALITY.exec(text);
  if (equality) {
    const [, key = "", operator, value = ""] = equality;
    // A missing label is "not equal", as in Kubernetes.
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const set = SET.exec(text);
  if (set) {
    const [, key = "", operator, list = ""] = set;
    const values = new Set(list.split(",").map((value) => value.trim()));
    return operator === "in"
      ? (labels) => labels[key] !== undefined && values.has(labels[key])
      : (labels) => labels[key] === undefined || !values.has(labels[key]);
  }
  const exists = EXISTS.exec(text);
  if (exists) {
    const [, not, key = ""] = exists;
    return (labels) => (labels[key] !== undefined) === (not === "");
  }
  const order = ORDER.exec(text);
  if (order) {
    const [, key = "", operator, bound] = order;
    return (labels) =>
      /^-?\d+$/.test(labels[key] ?? "") &&
      (operator === "<" ? Number(labels[key]) < Number(bound) : Number(labels[key]) > Number(bound));
  }
  throw badRequest(`unable to parse requirement ${JSON.stringify(text)} of the label selector`);
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** `metadata.name=web,status.phase!=Running`; fields are those the resource's row lists. */
function parseFieldSelector(text: string | undefined, resource: ResourceInfo): Selects {
  const terms = (text ?? "")
    .split(",")
    .filter((term) => term.trim() !== "")
    .map((term) => {
      const match = /^\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(term);
      const [, path = "", operator, wanted] = match ?? [];
      if (match === null) throw badRequest(`invalid field selector: ${JSON.stringify(term)}`);
      if (!["metadata.name", "metadata.namespace", ...resource.fields].includes(path)) {
        throw badRequest(
          `field label not supported: ${path} (for ${resource.plural}: ${["metadata.name", "metadata.namespace", ...resource.fields].join(", ")})`,
        );
      }
      return { path: path.split("."), equal: operator !== "!=", wanted };
    });
  return (object) => terms.every(({ path, equal, wanted }) => (fieldOf(object, path) === wanted) === equal);
}

function fieldOf(object: KubeObject, path: readonly string[]): string {
  let at: unknown = object;
  for (const part of path) {
    at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[part] : undefined;
  }
  if (typeof at === "object" && at !== null)
    return String((at as Record<string, unknown>)["component"] ?? "");
  return at === undefined ? "" : String(at);
}

export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export function selects(selection: Selection, resource: ResourceInfo): Selects {
  const labels = parseLabelSelector(selection.labelSelector);
  const fields = parseFieldSelector(selection.fieldSelector, resource);
  const { namespace } = selection;
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    labels(object.metadata.labels ?? {}) &&
    fields(object);
}
