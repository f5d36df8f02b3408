/**
 * What KubeVirt accepts in an interface and fails on later, or never notices: PT-EARLY-6 to 8, 21, 22, 41, 42, 51.
 */
import { type Mac, macToBytes, parseMac } from "../../base/mac.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import type { Path } from "../path.ts";
import { bindingIsWired, bindingOf, RESERVED_MAC_TEXT } from "./binding-methods.ts";
import { portSecurityFits } from "./port-security.ts";
import { nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

/** Linux and QEMU: 14 bits. KubeVirt documents the range and does not check it. */
const ACPI_INDEX_MAX = 16383;

interface NicMac {
  readonly mac: Mac;
  readonly at: Path;
  readonly text: string;
  /** What its binding keeps for itself. */
  readonly reserved: string | undefined;
}

function macsOf(vmi: SpecContext): readonly NicMac[] {
  return nicsOf(vmi).flatMap((nic) => {
    const text = nic.iface.macAddress ?? "";
    const mac = parseMac(text);
    if (mac === undefined) return [];
    const reserved = bindingOf(nic, vmi.settings)?.reservedMac;
    return [{ mac, at: [...nic.at, "macAddress"], text, reserved }];
  });
}

/** PT-EARLY-6. Rule 13 compares text, so KubeVirt lets other spellings of the address pass. */
export function reservedMacInAnySpelling(vmi: SpecContext): readonly Finding[] {
  return macsOf(vmi)
    .filter(({ mac, text, reserved }) => mac === reserved && text !== reserved)
    .map(({ at, mac }) => {
      const hint = `This is ${mac} in another spelling; use 02:00:00:00:00:01 or leave it out.`;
      return errorAt({ code: "PT-EARLY-6", at, message: RESERVED_MAC_TEXT, hint });
    });
}

/** PT-EARLY-7: the lowest bit of the first byte marks a group (IEEE 802). */
export function unicastMac(vmi: SpecContext): readonly Finding[] {
  return macsOf(vmi).flatMap(({ mac, at, text }) => {
    const group = ((macToBytes(mac)[0] ?? 0) & 1) === 1;
    if (!group && mac !== "00:00:00:00:00:00") return [];
    const message = `${text} is ${group ? "a multicast" : "the empty"} address; no NIC can have it`;
    const hint = "Begin with 02, as 02:00:00:00:00:01: locally administered, for one NIC.";
    return [errorAt({ code: "PT-EARLY-7", at, message, hint })];
  });
}

/** PT-EARLY-8. */
export function uniqueMacs(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<Mac>();
  return macsOf(vmi).flatMap(({ mac, at, text }) => {
    const repeated = seen.has(mac);
    seen.add(mac);
    if (!repeated) return [];
    const message = `MAC address ${text} is given to two interfaces of this VM`;
    const hint = "Give each its own, or leave macAddress out.";
    return [errorAt({ code: "PT-EARLY-8", at, reason: "FieldValueDuplicate", message, hint })];
  });
}

/** PT-EARLY-51: options of a DHCP server that is not there. */
export function dhcpOptionsHaveUse(vmi: SpecContext): readonly Finding[] {
  return nicsOf(vmi).flatMap((nic) => {
    const binding = bindingOf(nic, vmi.settings);
    if (nic.iface.dhcpOptions === undefined || binding === undefined || binding.dhcpOptions) return [];
    const message = `podtap's DHCP does not serve a NIC of ${binding.method}, so dhcpOptions have no effect`;
    const hint = "Remove them, or have the network's own DHCP server hand them out.";
    return [warningAt({ code: "PT-EARLY-51", at: [...nic.at, "dhcpOptions"], message, hint })];
  });
}

/** PT-EARLY-21 and 22. */
export function acpiIndexes(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<number>();
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    const { acpiIndex } = iface;
    // Zero is Go's "not set".
    if (acpiIndex === undefined || acpiIndex === 0) return [];
    const place = [...at, "acpiIndex"];
    const repeated = seen.has(acpiIndex);
    seen.add(acpiIndex);
    if (acpiIndex < 0 || acpiIndex > ACPI_INDEX_MAX) {
      const message = `acpiIndex ${acpiIndex} is out of range`;
      const hint = `Use 1 to ${ACPI_INDEX_MAX}; the guest names the NIC after it, as eno1.`;
      return [errorAt({ code: "PT-EARLY-21", at: place, message, hint })];
    }
    if (!repeated) return [];
    const message = `acpiIndex ${acpiIndex} is given to two interfaces`;
    const hint = "Number the interfaces differently.";
    return [errorAt({ code: "PT-EARLY-22", at: place, reason: "FieldValueDuplicate", message, hint })];
  });
}

/** PT-EARLY-41: two devices in one slot. */
export function uniquePciAddresses(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<string>();
  const devices = [
    ...(vmi.spec.domain.devices.disks ?? []).map(({ disk }, i) => ({
      address: disk?.pciAddress,
      at: [...vmi.path, "domain", "devices", "disks", i, "disk", "pciAddress"],
    })),
    ...nicsOf(vmi).map(({ iface, at }) => ({ address: iface.pciAddress, at: [...at, "pciAddress"] })),
  ];
  return devices.flatMap(({ address = "", at }) => {
    const key = address.toLowerCase();
    const repeated = key !== "" && seen.has(key);
    seen.add(key);
    if (!repeated) return [];
    const message = `PCI address ${address} is given to two devices`;
    const hint = "Use another slot, or leave pciAddress out.";
    return [errorAt({ code: "PT-EARLY-41", at, reason: "FieldValueDuplicate", message, hint })];
  });
}

/** PT-EARLY-42: only virtio has queues. */
export function multiqueueNeedsVirtio(vmi: SpecContext): readonly Finding[] {
  if (vmi.spec.domain.devices.networkInterfaceMultiqueue !== true) return [];
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    const { model = "" } = iface;
    if (model === "" || model === "virtio") return [];
    const message = `networkInterfaceMultiqueue has no effect on model ${model}`;
    const hint = "Use model: virtio for several queues.";
    return [warningAt({ code: "PT-EARLY-42", at: [...at, "model"], message, hint })];
  });
}

export const EARLY_NIC_RULES: readonly SpecRule[] = [
  reservedMacInAnySpelling,
  unicastMac,
  uniqueMacs,
  bindingIsWired,
  dhcpOptionsHaveUse,
  acpiIndexes,
  uniquePciAddresses,
  multiqueueNeedsVirtio,
  portSecurityFits,
];
