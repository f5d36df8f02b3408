/**
 * Which networks a pod asks for, as Multus reads it from the pod's annotations (the Network Plumbing Working Group's
 * de-facto standard, version 1.3, section 4.1). Pure.
 */
import { PodtapError } from "../../base/errors.ts";
import { isLinkName } from "../../base/names.ts";

export const NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks";
export const DEFAULT_NETWORK_ANNOTATION = "v1.multus-cni.io/default-network";

/** One element, with the annotation's own keys. */
export interface NetworkSelection {
  readonly name: string;
  readonly namespace: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  /** Default `net<position>`, from 1. */
  readonly interface?: string;
  readonly portMappings?: readonly unknown[];
  readonly bandwidth?: object;
  readonly "cni-args"?: Readonly<Record<string, unknown>>;
}

/** As the Go struct marshals: this order, and empty ones left out. Updates compare the text. */
const KEYS = [
  "name",
  "namespace",
  "ips",
  "mac",
  "interface",
  "portMappings",
  "bandwidth",
  "cni-args",
] as const satisfies readonly (keyof NetworkSelection)[];

export function renderSelections(selections: readonly NetworkSelection[]): string {
  const ordered = selections.map((selection) =>
    Object.fromEntries(
      KEYS.flatMap((key) => (selection[key] === undefined ? [] : [[key, selection[key]] as const])),
    ),
  );
  return JSON.stringify(ordered);
}

/**
 * Both forms: a JSON list, and `ns/name@interface, name`.
 * @param namespace of what does not name one
 * @throws PT-NAD-1
 */
export function parseSelections(text: string, namespace: string): readonly NetworkSelection[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  return trimmed.startsWith("[") || trimmed.startsWith("{")
    ? parseJsonForm(trimmed, namespace)
    : trimmed.split(",").map((item) => parseShortForm(item.trim(), namespace));
}

/** `name` or `namespace/name`; undefined for anything else. Split at the first slash, as KubeVirt does. */
export function parseNadName(
  text: string,
  namespace: string,
): Pick<NetworkSelection, "name" | "namespace"> | undefined {
  const slash = text.indexOf("/");
  const parts =
    slash < 0 ? { namespace, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
  return isObjectName(parts.name) && isObjectName(parts.namespace) ? parts : undefined;
}

function parseShortForm(item: string, namespace: string): NetworkSelection {
  const [nad = "", link, ...rest] = item.split("@");
  const parsed = parseNadName(nad, namespace);
  if (parsed === undefined || rest.length > 0) throw refuse(`${JSON.stringify(item)} is not a NAD's name`);
  return { ...parsed, ...checkedLink(link) };
}

function parseJsonForm(text: string, namespace: string): readonly NetworkSelection[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw refuse(`it is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (!Array.isArray(value)) throw refuse("it is not a list");
  return value.map((element, i) => parseElement(element, `[${i}]`, namespace));
}

function parseElement(element: unknown, at: string, outer: string): NetworkSelection {
  if (!isObject(element)) throw refuse(`${at} is not an object`);
  const { name, namespace = outer, mac, ips, portMappings, bandwidth } = element;
  if (!isObjectName(name)) throw refuse(`${at}.name ${JSON.stringify(name)} is not a NAD's name`);
  if (!isObjectName(namespace))
    throw refuse(`${at}.namespace ${JSON.stringify(namespace)} is not a namespace`);
  if (mac !== undefined && typeof mac !== "string") throw refuse(`${at}.mac is not text`);
  if (ips !== undefined && !isTextList(ips)) throw refuse(`${at}.ips is not a list of addresses`);
  if (portMappings !== undefined && !Array.isArray(portMappings))
    throw refuse(`${at}.portMappings is not a list`);
  if (bandwidth !== undefined && !isObject(bandwidth)) throw refuse(`${at}.bandwidth is not an object`);
  const args = element["cni-args"];
  if (args !== undefined && args !== null && !isObject(args)) throw refuse(`${at}.cni-args is not an object`);
  return {
    name,
    namespace,
    ...(ips !== undefined && ips.length > 0 && { ips }),
    ...(mac !== undefined && mac !== "" && { mac }),
    ...checkedLink(element["interface"]),
    ...(portMappings !== undefined && { portMappings }),
    ...(bandwidth !== undefined && { bandwidth }),
    ...(isObject(args) && { "cni-args": args }),
  };
}

function checkedLink(link: unknown): Pick<NetworkSelection, "interface"> {
  if (link === undefined || link === "") return {};
  if (typeof link === "string" && isLinkName(link)) return { interface: link };
  throw refuse(`${JSON.stringify(link)} is not an interface name`);
}

/** RFC 1123 names of Kubernetes objects. */
function isObjectName(name: unknown): name is string {
  return typeof name === "string" && name.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(why: string): PodtapError {
  return new PodtapError({
    code: "PT-NAD-1",
    message: `the annotation ${NETWORKS_ANNOTATION} does not say which networks: ${why}`,
    hint: 'write name, namespace/name@interface, or [{"name": …, "namespace": …, "interface": …}]',
    retry: "on-change",
    blame: "manifest",
  });
}
