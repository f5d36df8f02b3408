/** What validation depends on beside the manifest: the cluster's configuration, as KubeVirt's CR has it. */
import type { BindingAdmission } from "./binding-admission.ts";

export interface Settings {
  /** Method key for the NIC that is added when a manifest names none (KubeVirt: `defaultNetworkInterface`). */
  readonly defaultBinding: string;
  /** Every binding a manifest can ask for, wired by this podtap or not; in the order in which one is advised. */
  readonly known: readonly BindingAdmission[];
  /** Method keys of the bindings this podtap wires. */
  readonly bindings: readonly string[];
  /** Method keys that may not be used on the pod network (KubeVirt: `permitBridgeInterfaceOnPodNetwork: false`). */
  readonly offPodNetwork: readonly string[];
  /** Feature gates switched on (`featureGates`) or off (`disabledFeatureGates`) by name; absent: the default. */
  readonly gates: Readonly<Record<string, boolean>>;
  /** `strict` rejects what KubeVirt rejects and knows no spelling of podtap's own. */
  readonly compat: "podtap" | "strict";
  /** Names for `interfaces[].binding.name` beside those of `known`. */
  readonly plugins: readonly string[];
  /** What reaches a guest that declares no port, where no annotation says otherwise. */
  readonly inbound: "declared" | "all";
  /** For messages: `podtap 0.1`. */
  readonly release: string;
}

/** Gates that are on unless listed as disabled: beta in KubeVirt 1.10. Those of a binding are the binding's. */
const ON_BY_DEFAULT: readonly string[] = ["DecentralizedLiveMigration"];

export function gateIsOn(
  settings: Settings,
  gate: string,
  byDefault: boolean = ON_BY_DEFAULT.includes(gate),
): boolean {
  return (Object.hasOwn(settings.gates, gate) ? settings.gates[gate] : undefined) ?? byDefault;
}
