/**
 * Admission of `interfaces[]` without their ports: rules 7-16, 26-32 and C1-C4 of KubeVirt's network admitter
 * (binding.go, netiface.go, passt.go, discontinued.go), with its texts.
 */
import { errorAt, type Finding, goQuote, warningAt } from "../finding.ts";
import { formatPath } from "../path.ts";
import { gateIsOn } from "../settings.ts";
import {
  bindingKeys,
  isDefaultNetwork,
  type Nic,
  nicsOf,
  OLD_SPELLING_TODAY,
  OLD_SPELLINGS,
  type SpecContext,
  type SpecRule,
} from "./spec-context.ts";

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
export function stateOfSriov(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    if (iface.sriov === undefined || (iface.state !== "up" && iface.state !== "down")) return [];
    const message = `${goQuote(iface.name)} interface's state ${goQuote(iface.state)} is not supported for SR-IOV NICs`;
    const hint = "Leave state out: the link of an SR-IOV NIC is the network card's own.";
    return [errorAt({ code: "PT-NET-8", at: [...at, "state"], message, hint })];
  });
}

/** Rule 9. */
export function absentNeedsBridge(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    if (iface.state !== "absent" || iface.bridge !== undefined) return [];
    const message = `${goQuote(iface.name)} interface's state "absent" is supported only for bridge binding`;
    const hint = "Only a bridge NIC can be unplugged from a running VM; remove the interface instead.";
    return [errorAt({ code: "PT-NET-9", at: [...at, "state"], message, hint })];
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

/** Rule 11. */
export function exactlyOneBinding(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    const keys = bindingKeys(iface, vmi.settings);
    if (keys.length === 1) return [];
    const message = `logical ${iface.name} interface must have exactly one binding method or binding plugin`;
    const hint =
      keys.length === 0
        ? "Say how the NIC is wired: `masquerade: {}` on the pod's network, `bridge: {}` elsewhere (with the {})."
        : `Keep one of ${keys.join(", ")}.`;
    return [errorAt({ code: "PT-NET-11", at, message, hint })];
  });
}

/** Rule 12. */
export function masqueradeOnPodNetwork(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at, network }) => {
    if (iface.masquerade === undefined || network === undefined || network.pod !== undefined) return [];
    const message = "Masquerade interface only implemented with pod network";
    const hint = "Use `bridge: {}` on a multus network, or put this NIC on `pod: {}`.";
    return [errorAt({ code: "PT-NET-12", at: [...at, "name"], message, hint })];
  });
}

export const RESERVED_MAC_TEXT =
  "The requested MAC address is reserved for the in-pod bridge. Please choose another one.";

/** Rule 13. Only this spelling; the others are PT-EARLY-6. */
export function reservedMac(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) => {
    if (iface.masquerade === undefined || iface.macAddress !== "02:00:00:00:00:00") return [];
    const hint = "Use another locally administered address, as 02:00:00:00:00:01, or none.";
    return [errorAt({ code: "PT-NET-13", at: [...at, "macAddress"], message: RESERVED_MAC_TEXT, hint })];
  });
}

/** Rule 14. */
export function bridgeOnPodNetwork(vmi: SpecContext): readonly Finding[] {
  if (vmi.settings.permitBridgeOnPodNetwork) return [];
  return each(vmi, ({ iface, at, network }) => {
    if (iface.bridge === undefined || network?.pod === undefined) return [];
    const message = "Bridge on pod network configuration is not enabled under kubevirt-config";
    const hint = "Use `masquerade: {}`, or permit bridge on the pod network in the configuration.";
    return [errorAt({ code: "PT-NET-14", at: [...at, "name"], message, hint })];
  });
}

/** Rules 15 and 16. */
export function passtBinding(vmi: SpecContext): readonly Finding[] {
  const old = vmi.settings.compat === "podtap";
  return each(vmi, ({ iface, at, network }) => {
    if (iface.passtBinding === undefined && !(old && iface.passt !== undefined)) return [];
    const place = [...at, "name"];
    const findings: Finding[] = [];
    if (!gateIsOn(vmi.settings, "PasstBinding")) {
      const message = "PasstBinding feature gate is not enabled";
      const hint = "Take PasstBinding off the disabled feature gates, or use `masquerade: {}`.";
      findings.push(errorAt({ code: "PT-NET-15", at: place, message, hint }));
    }
    if (network !== undefined && network.pod === undefined) {
      const message = "PasstBinding interface only implemented with pod network";
      const hint = "Use `bridge: {}` on a multus network, or put this NIC on `pod: {}`.";
      findings.push(errorAt({ code: "PT-NET-16", at: place, message, hint }));
    }
    return findings;
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

const OLD_RULES = {
  slirp: {
    code: "PT-C-1",
    gate: undefined,
    text: "Slirp interface support has been discontinued since v1.3",
  },
  passt: { code: "PT-C-2", gate: "Passt", text: "Passt network binding has been discontinued since v1.3" },
  macvtap: {
    code: "PT-C-3",
    gate: "Macvtap",
    text: "Macvtap network binding has been discontinued since v1.3",
  },
} as const;

/** Rules C1, C2 and C3. KubeVirt looks at them on create only, with `spec` as path even for a VM's template. */
export function oldSpellings(vmi: SpecContext): readonly Finding[] {
  return each(vmi, ({ iface, at }) =>
    OLD_SPELLINGS.filter((key) => iface[key] !== undefined).map((key) => {
      const { code, text } = OLD_RULES[key];
      const hint = `Write \`${OLD_SPELLING_TODAY[key]}\` instead.`;
      const place = [...at, key];
      if (vmi.settings.compat === "strict") {
        const field = formatPath(["spec", ...place.slice(vmi.path.length)]);
        return errorAt({ code, at: place, field, message: text, hint });
      }
      const message = `\`${key}: {}\` is an old spelling that KubeVirt rejects since v1.3; podtap reads it as \`${OLD_SPELLING_TODAY[key]}\``;
      return warningAt({ code, at: place, message, hint });
    }),
  );
}

/** Rule C4: the gate is listed and the old field used. Has no path in KubeVirt. */
export function oldGates(vmi: SpecContext): readonly Finding[] {
  if (vmi.settings.compat !== "strict") return [];
  return OLD_SPELLINGS.flatMap((key) => {
    const { gate } = OLD_RULES[key];
    const user = nicsOf(vmi).find(({ iface }) => iface[key] !== undefined);
    if (gate === undefined || user === undefined || vmi.settings.gates[gate] !== true) return [];
    return [
      errorAt({
        code: "PT-C-4",
        at: [...user.at, key],
        field: "",
        reason: "FieldValueNotSupported",
        message: `${gate} network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives.`,
        hint: `Remove the gate ${gate}, and write \`${OLD_SPELLING_TODAY[key]}\`.`,
      }),
    ];
  });
}

export const INTERFACE_RULES: readonly SpecRule[] = [
  knownState,
  stateOfSriov,
  absentNeedsBridge,
  absentOffDefaultNetwork,
  exactlyOneBinding,
  masqueradeOnPodNetwork,
  reservedMac,
  bridgeOnPodNetwork,
  passtBinding,
  uniqueInterfaceNames,
  interfacesHaveNetworks,
  interfaceNameForm,
  knownModel,
  macForm,
  pciAddressForm,
  oldSpellings,
  oldGates,
];
