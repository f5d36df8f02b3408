/** NetworkAttachmentDefinitions and Secrets: what would only fail when they are used. PT-EARLY-46 and 47. */
import { errorAt, type Finding } from "../finding.ts";
import type { KubeObject } from "../object.ts";
import { isPlainObject } from "../structure.ts";
import type { Nad, Secret } from "../types.ts";
import { base64Length } from "./cloud-init.ts";

/** PT-EARLY-46. Without a config, Multus looks for a file of the same name in the CNI directory. */
export function nadConfig(nad: Nad): readonly Finding[] {
  const { config = "" } = nad.spec ?? {};
  if (config.trim() === "") return [];
  const at = ["spec", "config"];
  const code = "PT-EARLY-46";
  let value: unknown;
  try {
    value = JSON.parse(config);
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const message = `the CNI configuration is not JSON: ${said}`;
    return [errorAt({ code, at, message, hint: "Check quotes, commas and brackets; JSON has no comments." })];
  }
  if (!isPlainObject(value)) {
    const hint = 'Write {"cniVersion": "0.3.1", "type": "bridge", …}.';
    return [errorAt({ code, at, message: "the CNI configuration is no JSON object", hint })];
  }
  const plugins = value["plugins"];
  const first: unknown = Array.isArray(plugins) ? plugins[0] : value;
  if (isPlainObject(first) && typeof first["type"] === "string" && first["type"] !== "") return [];
  const message = "the CNI configuration names no plugin";
  return [errorAt({ code, at, message, hint: 'Add "type": "bridge", or a list "plugins" of such objects.' })];
}

/** PT-EARLY-47. */
export function secretData(secret: Secret): readonly Finding[] {
  return Object.entries(secret.data ?? {}).flatMap(([key, value]) => {
    if (base64Length(value) !== undefined) return [];
    const message = `the value of ${key} is not valid base64`;
    const hint = "Encode it with `base64 -w0`, or put the plain text under stringData.";
    return [errorAt({ code: "PT-EARLY-47", at: ["data", key], message, hint })];
  });
}

export function otherObjectRules(object: KubeObject): readonly Finding[] {
  if (object.kind === "NetworkAttachmentDefinition") return nadConfig(object as Nad);
  if (object.kind === "Secret") return secretData(object as Secret);
  return [];
}
