/** What validation and defaulting depend on, from the daemon's configuration and the bindings it has. */
import type { Settings } from "../../api/settings.ts";
import { PodtapError } from "../../base/errors.ts";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "../../bindings/settings.ts";
import type { NodeConfig } from "./config.ts";

export function settingsFrom(config: NodeConfig): Settings {
  const base = config.compat === "strict" ? STRICT_SETTINGS : DEFAULT_SETTINGS;
  const { bindings } = base;
  const defaultBinding = config.defaultNetworkInterface ?? DEFAULT_SETTINGS.defaultBinding;
  if (!bindings.includes(defaultBinding)) {
    throw new PodtapError({
      code: "PT-CONFIG-3",
      message: `defaultNetworkInterface: ${defaultBinding} is not a binding of this podtap`,
      hint: `known: ${bindings.join(", ")}`,
    });
  }
  return { ...base, defaultBinding, inbound: config.inbound };
}
