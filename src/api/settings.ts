/** What validation depends on beside the manifest: the cluster's configuration, as KubeVirt's CR has it. */

export interface Settings {
  /** The binding of the NIC that is added when a manifest names none (KubeVirt: `defaultNetworkInterface`). */
  readonly defaultBinding: "bridge" | "masquerade";
  /** KubeVirt: `permitBridgeInterfaceOnPodNetwork`. */
  readonly permitBridgeOnPodNetwork: boolean;
  /** Feature gates switched on (`featureGates`) or off (`disabledFeatureGates`) by name; absent: the default. */
  readonly gates: Readonly<Record<string, boolean>>;
  /** `strict` rejects what KubeVirt rejects and knows no spelling of podtap's own. */
  readonly compat: "podtap" | "strict";
  /** Method keys of the bindings this podtap wires, in the spelling of `interfaces[]`: `masquerade`. */
  readonly bindings: readonly string[];
  /** Names for `interfaces[].binding.name`. */
  readonly plugins: readonly string[];
  /** What reaches a guest that declares no port, where no annotation says otherwise. */
  readonly inbound: "declared" | "all";
  /** For messages: `podtap 0.1`. */
  readonly release: string;
}

export const DEFAULT_SETTINGS: Settings = {
  defaultBinding: "masquerade",
  permitBridgeOnPodNetwork: true,
  gates: { PortRangesSpec: true },
  compat: "podtap",
  bindings: ["masquerade"],
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

/** Gates that are on unless listed as disabled: beta in KubeVirt 1.10. */
const ON_BY_DEFAULT: readonly string[] = ["PasstBinding", "DecentralizedLiveMigration"];

export function gateIsOn(settings: Settings, gate: string): boolean {
  return ownValue(settings.gates, gate) ?? ON_BY_DEFAULT.includes(gate);
}

function ownValue(gates: Readonly<Record<string, boolean>>, gate: string): boolean | undefined {
  return Object.hasOwn(gates, gate) ? gates[gate] : undefined;
}
