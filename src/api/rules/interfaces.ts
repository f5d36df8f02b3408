/**
 * Admission of `interfaces[]` without their ports: rules 7-16, 26-32 and C1-C4 of KubeVirt's network admitter
 * (netiface.go; the rest in binding-methods.ts), with its texts.
 */
import type { Nic } from "../binding-admission.ts";
import { errorAt, type Finding, goQuote } from "../finding.ts";
import { formatPath } from "../path.ts";
import { methodFits, methodsOf, oldGates, oldSpellings } from "./binding-methods.ts";
import { isDefaultNetwork, nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

const MODELS = ["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"];
const PCI_ADDRESS = /^[\da-fA-F]{4}:[\da-fA-F]{2}:[\da-fA-F]{2}\.[0-7]$/;

function each(vmi: SpecContext, check: (nic: Nic) => readonly Finding[]): readonly Finding[] {
  return nicsOf(vmi).flatMap(check);
}

/** Rule 7. */
export function knownState(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    const state: string = iface.state ?? "";
    if (["", "up", "down", "absent"].includes(state)) return [];
    const message = `logical ${iface.name} interface state value is unsupported: ${state}`;
    const hint = "Write up, down or absent, or leave state out.";
    return [errorAt({ code: "PT-NET-7", at: [...at, "state"], message, hint })];
  });
}

/** Rule 8. */
export function linkStateIsSettable(vmi: SpecContext): readonly Finding[] {
  return each(vmi, (nic) => {
    const { state } = nic.iface;
    if (state !== "up" && state !== "down") return [];
    return methodsOf(nic, vmi.settings).flatMap(({ binding }) => {
      if (binding === undefined || binding.states.includes(state)) return [];
      const { title } = binding;
      const message = `${goQuote(nic.iface.name)} interface's state ${goQuote(state)} is not supported for ${title} NICs`;
      const hint = `Leave state out: the link of ${/^[aeiou]/i.test(title) || title.startsWith("SR") ? "an" : "a"} ${title} NIC is not podtap's to set.`;
      return [errorAt({ code: "PT-NET-8", at: [...nic.at, "state"], message, hint })];
    });
  });
}

/** Rule 9. */
export function canBeAbsent(vmi: SpecContext): readonly Finding[] {
  const able = vmi.settings.known.filter(({ states }) => states.includes("absent"));
  const names = able.map(({ method }) => method).join(" and ");
  return each(vmi, (nic) => {
    const methods = methodsOf(nic, vmi.settings);
    if (nic.iface.state !== "absent") return [];
    if (methods.some(({ binding }) => binding?.states.includes("absent") === true)) return [];
    const message = `${goQuote(nic.iface.name)} interface's state "absent" is supported only for ${names} binding`;
    const hint = `Only a NIC of ${names} can be unplugged from a running VM; remove the interface instead.`;
    return [errorAt({ code: "PT-NET-9", at: [...nic.at, "state"], message, hint })];
  });
}

/** Rule 10. */
export function absentOffDefaultNetwork(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at, network }) => {
    if (iface.state !== "absent" || !isDefaultNetwork(network)) return [];
    const message = `${goQuote(iface.name)} interface's state "absent" is not supported on default networks`;
    const hint = "The VM's first network cannot be unplugged; use state: down to cut the link.";
    return [errorAt({ code: "PT-NET-10", at: [...at, "state"], message, hint })];
  });
}

/** Rule 26. */
export function uniqueInterfaceNames(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<string>();
  return each(vmi, ({ iface, at }) => {
    const repeated = seen.has(iface.name);
    seen.add(iface.name);
    if (!repeated) return [];
    const message = "Only one interface can be connected to one specific network";
    const hint = "Give the second NIC another name, and a network of that name.";
    const reason = "FieldValueDuplicate";
    return [errorAt({ code: "PT-NET-26", at: [...at, "name"], reason, message, hint })];
  });
}

/** Rule 27. */
export function interfacesHaveNetworks(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at, network }) => {
    if (network !== undefined) return [];
    const place = [...at, "name"];
    const message = `${formatPath(place)} '${iface.name}' not found.`;
    const hint = `Add {name: ${iface.name}, pod: {}} or a multus network of that name to networks.`;
    return [errorAt({ code: "PT-NET-27", at: place, message, hint })];
  });
}

/** Rule 28. */
export function interfaceNameForm(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    if (/^[A-Za-z0-9\-_]+$/.test(iface.name ?? "")) return [];
    const message =
      "Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)";
    const hint = "Rename the interface and its network, without dots or spaces.";
    return [errorAt({ code: "PT-NET-28", at: [...at, "name"], message, hint })];
  });
}

/** Rule 29. */
export function knownModel(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    const { model = "" } = iface;
    if (model === "" || MODELS.includes(model)) return [];
    const message = `interface ${formatPath([...at, "name"])} uses model ${model} that is not supported.`;
    const hint = `Use one of ${MODELS.join(", ")}; virtio is the fastest.`;
    const reason = "FieldValueNotSupported";
    return [errorAt({ code: "PT-NET-29", at: [...at, "model"], reason, message, hint })];
  });
}

/** Rules 30 and 31: what Go's net.ParseMAC reads is 6, 8 or 20 bytes long. */
export function macForm(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    const { macAddress = "" } = iface;
    if (macAddress === "") return [];
    const length = macLength(macAddress);
    if (length === 6) return [];
    const name = formatPath([...at, "name"]);
    const place = [...at, "macAddress"];
    const hint = "Write six bytes, as 02:00:00:00:00:01.";
    if (length !== undefined) {
      const message = `interface ${name} has too long MAC address (${macAddress}).`;
      return [errorAt({ code: "PT-NET-31", at: place, message, hint })];
    }
    const message = `interface ${name} has malformed MAC address (${macAddress}).`;
    return [errorAt({ code: "PT-NET-30", at: place, message, hint })];
  });
}

function macLength(text: string): number | undefined {
  const pairs = /^[\da-f]{2}(([:-])[\da-f]{2}(\2[\da-f]{2})*)$/i;
  const quads = /^[\da-f]{4}(\.[\da-f]{4})+$/i;
  // The longest MAC in pairs is 59 characters.
  if (text.length > 59 || !(pairs.test(text) || quads.test(text))) return undefined;
  const bytes = text.replace(/[:.-]/g, "").length / 2;
  return [6, 8, 20].includes(bytes) ? bytes : undefined;
}

/** Rule 32. */
export function pciAddressForm(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    const { pciAddress = "" } = iface;
    if (pciAddress === "" || PCI_ADDRESS.test(pciAddress)) return [];
    const message = `interface ${formatPath([...at, "name"])} has malformed PCI address (${pciAddress}).`;
    const hint = "Write domain:bus:slot.function, as 0000:81:01.0.";
    return [errorAt({ code: "PT-NET-32", at: [...at, "pciAddress"], message, hint })];
  });
}

export const INTERFACE_RULES: readonly SpecRule[] = [
  knownState,
  linkStateIsSettable,
  canBeAbsent,
  absentOffDefaultNetwork,
  methodFits,
  uniqueInterfaceNames,
  interfacesHaveNetworks,
  interfaceNameForm,
  knownModel,
  macForm,
  pciAddressForm,
  oldSpellings,
  oldGates,
];
