/** PT-EARLY-53 and 54: port security is lifted for a NIC that there is, and where there is something to lift. */
import type { BindingAdmission } from "../binding-admission.ts";
import { errorAt, type Finding } from "../finding.ts";
import { PORT_SECURITY_ANNOTATION, parsePortSecurity } from "../port-security.ts";
import { suggest } from "../suggest.ts";
import { bindingOf } from "./binding-methods.ts";
import { nicsOf, type SpecContext } from "./spec-context.ts";

export function portSecurityFits(vmi: SpecContext): readonly Finding[] {
  if (!Object.hasOwn(vmi.annotations, PORT_SECURITY_ANNOTATION)) return [];
  const entries = parsePortSecurity(vmi.annotations[PORT_SECURITY_ANNOTATION] ?? "");
  if (typeof entries === "string") return [];
  const at = [...vmi.metadataPath, "annotations", PORT_SECURITY_ANNOTATION];
  const nics = nicsOf(vmi);
  const names = nics.map(({ iface }) => iface.name);
  const station = vmi.settings.known.filter(isStation).map(({ title }) => title);
  return entries.flatMap(({ nic: name, level }): readonly Finding[] => {
    const meant = nics.filter(({ iface }) => name === undefined || iface.name === name);
    if (meant.length === 0 && name !== undefined) {
      const near = suggest(name, names);
      const hint = near === undefined ? `It has: ${names.join(", ")}.` : `Did you mean ${near}?`;
      const message = `${PORT_SECURITY_ANNOTATION} names interface ${name}, which this VM does not have`;
      return [errorAt({ code: "PT-EARLY-53", at, reason: "FieldValueNotFound", message, hint })];
    }
    const bindings = meant.map((nic) => bindingOf(nic, vmi.settings));
    if (level === "strict" || bindings.some((one) => one === undefined || isStation(one))) return [];
    const what = name === undefined ? "no interface of this VM sends" : `interface ${name} does not send`;
    const message = `${PORT_SECURITY_ANNOTATION} has nothing to lift: ${what} frames of its own to a network`;
    const hint = `Its packets are translated, whatever they say. Use a binding that makes the guest a station of the network: ${station.join(", ")}.`;
    return [errorAt({ code: "PT-EARLY-54", at, reason: "FieldValueNotSupported", message, hint })];
  });
}

/** Everything reaches it, for it stands on the network itself and not behind the pod. */
function isStation({ ports }: BindingAdmission): boolean {
  return ports === "informative";
}
