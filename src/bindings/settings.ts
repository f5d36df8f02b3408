/** What manifests are judged by where no configuration says otherwise: the bindings there are, and the default one. */
import type { Settings } from "../api/settings.ts";
import { KNOWN_BINDINGS } from "./admission.ts";
import { WIRED_METHODS } from "./index.ts";

/** KubeVirt's default is the bridge binding; podtap's follows once it wires that. */
const DEFAULT_BINDING = "masquerade";

export const DEFAULT_SETTINGS: Settings = {
  defaultBinding: DEFAULT_BINDING,
  known: KNOWN_BINDINGS,
  bindings: WIRED_METHODS,
  offPodNetwork: [],
  gates: { PortRangesSpec: true },
  compat: "podtap",
  plugins: [],
  inbound: "declared",
  release: "podtap 0.1",
};

/** Answers as KubeVirt's admission does. `bindings` stays what podtap can wire. */
export const STRICT_SETTINGS: Settings = {
  ...DEFAULT_SETTINGS,
  defaultBinding: "bridge",
  gates: {},
  compat: "strict",
  inbound: "all",
};
