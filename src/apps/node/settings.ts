/** What validation and defaulting depend on, from the daemon's configuration and the bindings it has. */
import { DEFAULT_SETTINGS, type Settings, STRICT_SETTINGS } from "../../api/settings.ts";
import { PodtapError } from "../../base/errors.ts";
import { registry } from "../../bindings/index.ts";
import type { NodeConfig } from "./config.ts";

export function settingsFrom(config: NodeConfig): Settings {
  const base = config.compat === "strict" ? STRICT_SETTINGS : DEFAULT_SETTINGS;
  const bindings = registry.all.map(({ bindingName }) => bindingName);
  const defaultBinding = config.defaultNetworkInterface ?? DEFAULT_SETTINGS.defaultBinding;
  if (!bindings.includes(defaultBinding)) {
    throw new PodtapError({
      code: "PT-CONFIG-3",
      message: `defaultNetworkInterface: ${defaultBinding} is not a binding of this podtap`,
      hint: `known: ${bindings.join(", ")}`,
    });
  }
  return {
    ...base,
    defaultBinding: defaultBinding as Settings["defaultBinding"],
    bindings,
    inbound: config.inbound,
  };
}
