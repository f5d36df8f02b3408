/**
 * The node daemon's settings: /etc/podtap/config.yaml (or `--config`), every key optional. Unknown keys and wrong
 * values are refused by name, because a setting that is passed over in silence is believed to be in force.
 */
import { existsSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { messageOf, PodtapError } from "../../base/errors.ts";

export const DEFAULT_CONFIG_FILE = "/etc/podtap/config.yaml";

export interface NodeConfig {
  /** KubeVirt's key: the binding of a VM that names none. */
  readonly defaultNetworkInterface?: string;
  /** What masquerade does without declared ports, where no annotation says. */
  readonly inbound: "declared" | "all";
  /** `podtap` accepts old spellings with a warning; `strict` refuses what KubeVirt refuses. */
  readonly compat: "podtap" | "strict";
  /** Folder of CNI network configurations; absent: podtap's own bridge network. */
  readonly cniConfDir?: string;
  /** May podtap put rules for its own bridge where Docker, ufw or firewalld have a place for them? */
  readonly firewall: "adapt" | "report";
  /** Users and groups beside root that may use the socket. */
  readonly allowedUids: readonly number[];
  readonly allowedGids: readonly number[];
  /** Image references and what stands in for them: `quay.io/x: oci:/path`. */
  readonly imageOverrides: Readonly<Record<string, string>>;
  /** `auto` takes KVM where a guest truly runs on it. */
  readonly accelerator: "auto" | "kvm" | "tcg";
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

const DEFAULTS: NodeConfig = {
  inbound: "declared",
  compat: "podtap",
  firewall: "adapt",
  allowedUids: [],
  allowedGids: [],
  imageOverrides: {},
  accelerator: "auto",
  logLevel: "info",
};

type Check = (value: unknown) => boolean;

const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string);
const isText: Check = (value) => typeof value === "string" && value !== "";
const isIds: Check = (value) => Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0);
const isTextMap: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isText);

const CHECKS: { readonly [K in keyof Required<NodeConfig>]: readonly [Check, string] } = {
  defaultNetworkInterface: [isText, "a binding's name"],
  inbound: [oneOf("declared", "all"), "declared or all"],
  compat: [oneOf("podtap", "strict"), "podtap or strict"],
  firewall: [oneOf("adapt", "report"), "adapt or report"],
  cniConfDir: [isText, "a folder"],
  allowedUids: [isIds, "a list of user ids"],
  allowedGids: [isIds, "a list of group ids"],
  imageOverrides: [isTextMap, "a map of image references"],
  accelerator: [oneOf("auto", "kvm", "tcg"), "auto, kvm or tcg"],
  logLevel: [oneOf("debug", "info", "warn", "error"), "debug, info, warn or error"],
};

/** A named file must be there; the default one may be missing. */
export function readConfig(file: string | undefined): NodeConfig {
  const path = file ?? DEFAULT_CONFIG_FILE;
  if (file === undefined && !existsSync(path)) return DEFAULTS;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    throw refusal(path, messageOf(thrown));
  }
  return parseConfig(text, path);
}

export function parseConfig(text: string, path: string): NodeConfig {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 }) ?? {};
  } catch (thrown) {
    throw refusal(path, messageOf(thrown));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw refusal(path, "it must be a map");
  for (const [key, setting] of Object.entries(value)) {
    const check = Object.hasOwn(CHECKS, key) ? CHECKS[key as keyof NodeConfig] : undefined;
    if (check === undefined)
      throw refusal(path, `unknown key ${key}; known: ${Object.keys(CHECKS).join(", ")}`);
    const [holds, wanted] = check;
    if (!holds(setting)) throw refusal(path, `${key} must be ${wanted}`);
  }
  return { ...DEFAULTS, ...value };
}

function refusal(path: string, why: string): PodtapError {
  return new PodtapError({
    code: "PT-CONFIG-1",
    message: `${path}: ${why}`,
    hint: "see docs/reference/config.md",
  });
}
