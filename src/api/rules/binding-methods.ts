/**
 * Which binding an interface asks for, and whether that may sit there: rules 11-16 and C1-C4 of KubeVirt's network
 * admitter (binding.go, passt.go, discontinued.go), with its texts; PT-EARLY-9, 10 and 50. What is known of the
 * bindings is in the settings, as values.
 */
import {
  askingKeys,
  type BindingAdmission,
  type NetworkKind,
  type Nic,
  namesOf,
  spellingOf,
} from "../binding-admission.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { formatPath } from "../path.ts";
import { gateIsOn, type Settings } from "../settings.ts";
import type { NetworkSpec } from "../types.ts";
import { nicsOf, type SpecContext } from "./spec-context.ts";

/** One key by which an interface asks. A plugin that podtap does not know has no binding. */
export interface Method {
  readonly key: string;
  readonly binding: BindingAdmission | undefined;
}

/** What an interface asks for. One is right (rule 11). In strict, old spellings ask for nothing, as in KubeVirt. */
export function methodsOf({ iface }: Nic, { known, compat }: Settings): readonly Method[] {
  const asked = known.flatMap((binding) =>
    askingKeys(binding, iface)
      .filter((key) => compat !== "strict" || key !== binding.old?.key)
      .map((key) => ({ key, binding })),
  );
  const isKnown = iface.binding === undefined || asked.some(({ key }) => key === "binding");
  return isKnown ? asked : [...asked, { key: "binding", binding: undefined }];
}

/** The binding whose traits are this NIC's, for rules that need not care how it was asked for. */
export function bindingOf(nic: Nic, settings: Settings): BindingAdmission | undefined {
  return methodsOf(nic, settings)[0]?.binding;
}

/** What to use on such a network: of the bindings that may sit there the first that is wired, else the first. */
export function advised(kind: NetworkKind, settings: Settings): string {
  const fitting = settings.known.filter((binding) => mayUse(binding, kind, settings));
  const best = fitting.find(({ method }) => settings.bindings.includes(method)) ?? fitting[0];
  return best === undefined ? "binding: {name: …}" : spellingOf(best);
}

function mayUse(binding: BindingAdmission, kind: NetworkKind, settings: Settings): boolean {
  const networks = networksFor(binding, settings);
  if (kind === "pod" && settings.offPodNetwork.includes(binding.method)) return false;
  return networks === "any" || networks === kind;
}

function networksFor(
  { networks, strictNetworks }: BindingAdmission,
  { compat }: Settings,
): NetworkKind | "any" {
  return compat === "strict" ? (strictNetworks ?? networks) : networks;
}

/** Rules 11 to 16, NIC by NIC as KubeVirt goes. */
export function methodFits(vmi: SpecContext): readonly Finding[] {
  const { settings } = vmi;
  return nicsOf(vmi).flatMap((nic) => {
    const methods = methodsOf(nic, settings);
    return [
      ...exactlyOne(nic, methods, settings),
      ...methods.flatMap(({ key, binding }) =>
        binding === undefined
          ? []
          : [
              ...gateIsOpen(nic, key, binding, settings),
              ...onItsNetwork(nic, key, binding, settings),
              ...macIsFree(nic, binding),
              ...permittedOnPodNetwork(nic, binding, settings),
              ...(binding.rules ?? []).flatMap((rule) => rule(nic)),
            ],
      ),
    ];
  });
}

/** Rule 11. */
function exactlyOne({ iface, at }: Nic, methods: readonly Method[], settings: Settings): readonly Finding[] {
  if (methods.length === 1) return [];
  const message = `logical ${iface.name} interface must have exactly one binding method or binding plugin`;
  const hint =
    methods.length === 0
      ? `Say how the NIC is wired: \`${advised("pod", settings)}\` on the pod's network, ` +
        `\`${advised("multus", settings)}\` elsewhere (with the {}).`
      : `Keep one of ${methods.map(({ key }) => key).join(", ")}.`;
  return [errorAt({ code: "PT-NET-11", at, message, hint })];
}

/** Rule 15. A gate is in front of the method key; the plugin of that name never had one. */
function gateIsOpen(
  { at }: Nic,
  key: string,
  { gate }: BindingAdmission,
  settings: Settings,
): readonly Finding[] {
  if (gate === undefined || key === "binding") return [];
  if (gateIsOn(settings, gate.name, gate.onByDefault)) return [];
  const message = `${gate.name} feature gate is not enabled`;
  const hint = `Take ${gate.name} off the disabled feature gates, or use \`${advised("pod", settings)}\`.`;
  return [errorAt({ code: gate.code, at: [...at, "name"], message, hint })];
}

/** Rules 12 and 16, and PT-EARLY-50 for what KubeVirt finds out later. */
function onItsNetwork(
  { at, network }: Nic,
  key: string,
  binding: BindingAdmission,
  settings: Settings,
): readonly Finding[] {
  const wanted = networksFor(binding, settings);
  if (wanted === "any" || network === undefined || kindOf(network) === wanted) return [];
  const code = key === "binding" ? undefined : binding.networkCode;
  const [name, hint] =
    wanted === "pod"
      ? ["pod", `Use \`${advised("multus", settings)}\` on a multus network, or put this NIC on \`pod: {}\`.`]
      : [
          "Multus",
          `Use \`${advised("pod", settings)}\` on the pod network, or give this NIC a multus network.`,
        ];
  const message = `${binding.title} interface only implemented with ${name} network`;
  return [errorAt({ code: code ?? "PT-EARLY-50", at: [...at, "name"], message, hint })];
}

function kindOf({ pod, multus }: NetworkSpec): NetworkKind | undefined {
  if (pod !== undefined) return "pod";
  return multus === undefined ? undefined : "multus";
}

export const RESERVED_MAC_TEXT =
  "The requested MAC address is reserved for the in-pod bridge. Please choose another one.";

/** Rule 13. Only this spelling; the others are PT-EARLY-6. */
function macIsFree({ iface, at }: Nic, { reservedMac }: BindingAdmission): readonly Finding[] {
  if (reservedMac === undefined || iface.macAddress !== reservedMac) return [];
  const hint = "Use another locally administered address, as 02:00:00:00:00:01, or none.";
  return [errorAt({ code: "PT-NET-13", at: [...at, "macAddress"], message: RESERVED_MAC_TEXT, hint })];
}

/** Rule 14. */
function permittedOnPodNetwork(
  { at, network }: Nic,
  { method, title }: BindingAdmission,
  settings: Settings,
): readonly Finding[] {
  if (network?.pod === undefined || !settings.offPodNetwork.includes(method)) return [];
  const message = `${title} on pod network configuration is not enabled under kubevirt-config`;
  const hint = `Use \`${advised("pod", settings)}\`, or permit ${method} on the pod network in the configuration.`;
  return [errorAt({ code: "PT-NET-14", at: [...at, "name"], message, hint })];
}

/** Rules C1, C2 and C3. KubeVirt looks at them on create only, with `spec` as path even for a VM's template. */
export function oldSpellings(vmi: SpecContext): readonly Finding[] {
  const { known, compat } = vmi.settings;
  return nicsOf(vmi).flatMap(({ iface, at }) =>
    known.flatMap((binding) => {
      const { old } = binding;
      if (old === undefined || iface[old.key] === undefined) return [];
      const { code, key } = old;
      const today = spellingOf(binding);
      const hint = `Write \`${today}\` instead.`;
      const place = [...at, key];
      if (compat === "strict") {
        const field = formatPath(["spec", ...place.slice(vmi.path.length)]);
        return [errorAt({ code, at: place, field, message: old.message, hint })];
      }
      const message = `\`${key}: {}\` is an old spelling that KubeVirt rejects since v1.3; podtap reads it as \`${today}\``;
      return [warningAt({ code, at: place, message, hint })];
    }),
  );
}

/** Rule C4: the gate is listed and the old field used. Has no path in KubeVirt. */
export function oldGates(vmi: SpecContext): readonly Finding[] {
  const { known, compat, gates } = vmi.settings;
  if (compat !== "strict") return [];
  return known.flatMap((binding) => {
    const { key = "", gate } = binding.old ?? {};
    const user = nicsOf(vmi).find(({ iface }) => iface[key] !== undefined);
    if (gate === undefined || user === undefined || gates[gate] !== true) return [];
    return [
      errorAt({
        code: "PT-C-4",
        at: [...user.at, key],
        field: "",
        reason: "FieldValueNotSupported",
        message: `${gate} network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives.`,
        hint: `Remove the gate ${gate}, and write \`${spellingOf(binding)}\`.`,
      }),
    ];
  });
}

/** PT-EARLY-9 and 10: which bindings and plugins there are, the settings say. */
export function bindingIsWired(vmi: SpecContext): readonly Finding[] {
  const { settings } = vmi;
  const { known, bindings, plugins, release } = settings;
  const wired = bindings.join(", ");
  return nicsOf(vmi).flatMap((nic) =>
    methodsOf(nic, settings).flatMap(({ key, binding }) => {
      const reason = "FieldValueNotSupported";
      const at = [...nic.at, key];
      const name = nic.iface.binding?.name ?? "";
      if (key === "binding" && plugins.includes(name)) return [];
      if (binding === undefined) {
        const names = [
          ...known.filter(({ method }) => bindings.includes(method)).flatMap(namesOf),
          ...plugins,
        ];
        const message = `no binding plugin ${JSON.stringify(name)} is registered; ${release} wires ${wired} only`;
        const listed = names.length === 0 ? "" : ` Registered: ${names.join(", ")}.`;
        const hint = `Use one of ${wired}, or register the plugin in the configuration.${listed}`;
        return [errorAt({ code: "PT-EARLY-9", at, reason, message, hint })];
      }
      if (bindings.includes(binding.method)) return [];
      const message = `${release} wires ${wired} only; ${binding.method} is not there yet`;
      return [errorAt({ code: "PT-EARLY-10", at, reason, message, hint: insteadOf(nic, settings) })];
    }),
  );
}

/** Something wired, on this network or else on the pod's. */
function insteadOf({ network }: Nic, settings: Settings): string {
  const kind = network?.pod === undefined ? "multus" : "pod";
  const wired = settings.known.filter(({ method }) => settings.bindings.includes(method));
  const here = wired.find((binding) => mayUse(binding, kind, settings));
  const elsewhere = wired.find((binding) => mayUse(binding, "pod", settings));
  if (here !== undefined) return `Use \`${spellingOf(here)}\` on this network for now.`;
  return elsewhere === undefined
    ? "Remove the interface for now."
    : `Use \`${spellingOf(elsewhere)}\` on a pod network for now.`;
}
