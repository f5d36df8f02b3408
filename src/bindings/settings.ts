/** What manifests are judged by where no configuration says otherwise: the bindings there are, and the default one. */
import type { Settings } from "../api/settings.ts";
import { KNOWN_BINDINGS } from "./admission.ts";
import { WIRED_METHODS } from "./index.ts";

/** KubeVirt's, where nobody configured another (`pkg/virt-config`, defaultNetworkInterface). */
const DEFAULT_BINDING = "bridge";

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
  gates: {},
  compat: "strict",
  inbound: "all",
};
