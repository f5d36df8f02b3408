/**
 * A CNI network configuration: a list of plugins run one after the other (CNI spec 1.0.0, section 1). A single
 * plugin's file (`.conf`, and most NADs) is a list of one.
 */
import { PodtapError } from "../../../base/errors.ts";

export interface CniPlugin {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

export interface CniNetwork {
  readonly cniVersion: string;
  readonly name: string;
  readonly disableCheck?: boolean;
  readonly plugins: readonly [CniPlugin, ...CniPlugin[]];
}

/** The spec's grammar of network names and container ids. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const VERSION = /^\d{1,3}\.\d{1,3}\.\d{1,3}$/;
/**
 * For a configuration that names none. libcni takes it for 0.1.0, in whose results an address is required: a wire
 * without addresses could not be said. Every plugin about speaks this one.
 */
const UNSAID = "0.4.0";

/**
 * @param source where the text came from, for messages: a path, or a NAD's name
 * @param fallbackName the network's name where the configuration has none
 */
export function parseCniNetwork(text: string, source: string, fallbackName?: string): CniNetwork {
  const config = parseJson(text, source);
  const list = "plugins" in config ? config["plugins"] : [config];
  if (!Array.isArray(list)) throw refuse(source, "plugins is not a list");
  const [first, ...rest] = list.map((plugin) => checkPlugin(plugin, source));
  if (first === undefined) throw refuse(source, "it lists no plugin");
  const cniVersion = config["cniVersion"] ?? UNSAID;
  if (typeof cniVersion !== "string" || !VERSION.test(cniVersion)) {
    throw refuse(source, `cniVersion ${JSON.stringify(cniVersion)} is not a version`);
  }
  const { name = fallbackName } = config;
  if (!isCniName(name)) throw refuse(source, `name ${JSON.stringify(name)} is not a network's name`);
  const disableCheck = config["disableCheck"] === true || config["disableCheck"] === "true";
  return { cniVersion, name, ...(disableCheck && { disableCheck }), plugins: [first, ...rest] };
}

/** Does the network say itself which MAC the pod's link has? As `tuning`, `macvlan` and `bridge` can. */
export function namesMac({ plugins }: CniNetwork): boolean {
  return plugins.some((plugin) => typeof plugin["mac"] === "string" && plugin["mac"] !== "");
}

export function isCniName(name: unknown): name is string {
  return typeof name === "string" && name.length <= 253 && NAME.test(name);
}

function parseJson(text: string, source: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw refuse(source, thrown instanceof Error ? thrown.message : "it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse(source, "it is not a JSON object");
  }
  return value as Record<string, unknown>;
}

function checkPlugin(plugin: unknown, source: string): CniPlugin {
  const type = (plugin as { type?: unknown } | null)?.type;
  // The type is the name of a program to run as root: never a path.
  if (!isCniName(type)) throw refuse(source, `plugin type ${JSON.stringify(type)} is not a plugin's name`);
  return plugin as CniPlugin;
}

function refuse(source: string, reason: string): PodtapError {
  return new PodtapError({
    code: "PT-CNI-1",
    message: `${source} is not a CNI configuration: ${reason}`,
    hint: "see https://www.cni.dev/docs/spec/#section-1-network-configuration-format",
    retry: "on-change",
    blame: "manifest",
  });
}
