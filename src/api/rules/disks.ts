/** Admission of `disks[]` and boot order: R2-R4 and KubeVirt's disk rules (`vmi-create-admitter.go`), with its texts. */
import { dnsLabelErrors } from "../dns-names.ts";
import { errorAt, type Finding } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import type { DiskSpec, DiskTarget } from "../types.ts";
import { nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

const BUSES = ["virtio", "scsi", "sata", "usb"];
const CACHES = ["", "none", "writethrough", "writeback"];
const SERIAL = /^[A-Za-z0-9_.+-]+$/;
const SERIAL_MAX = 256;
const PCI_ADDRESS = /^[\da-fA-F]{4}:[\da-fA-F]{2}:[\da-fA-F]{2}\.[0-7]$/;

interface DiskEntry {
  readonly disk: DiskSpec;
  readonly at: Path;
}

export function disksOf(vmi: SpecContext): readonly DiskEntry[] {
  return (vmi.spec.domain.devices.disks ?? []).map((disk, i) => ({
    disk,
    at: [...vmi.path, "domain", "devices", "disks", i],
  }));
}

/** R2. KubeVirt indexes the spec itself where an interface is meant: `spec[0].bootOrder`. */
export function bootOrderPositive(vmi: SpecContext): readonly Finding[] {
  const hint = "Boot orders begin with 1; leave it out for devices that do not boot.";
  const disks = disksOf(vmi).flatMap(({ disk, at }) => {
    if (disk.bootOrder === undefined || disk.bootOrder > 0) return [];
    const message = `${formatPath(at)} must have a boot order > 0, if supplied`;
    return [errorAt({ code: "PT-REL-2", at: [...at, "bootOrder"], message, hint })];
  });
  const nics = nicsOf(vmi).flatMap(({ iface, at }, i) => {
    if (iface.bootOrder === undefined || iface.bootOrder > 0) return [];
    const place = [...vmi.path, i];
    const message = `${formatPath(place)} must have a boot order > 0, if supplied`;
    const field = formatPath([...place, "bootOrder"]);
    return [errorAt({ code: "PT-REL-2", at: [...at, "bootOrder"], field, message, hint })];
  });
  return [...disks, ...nics];
}

/** R3. */
export function bootOrderUnique(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<number>();
  const devices = [
    ...disksOf(vmi).map(({ disk, at }) => ({ order: disk.bootOrder, at })),
    ...nicsOf(vmi).map(({ iface, at }) => ({ order: iface.bootOrder, at })),
  ];
  return devices.flatMap(({ order, at }) => {
    if (order === undefined || order < 1) return [];
    const repeated = seen.has(order);
    seen.add(order);
    if (!repeated) return [];
    const place = [...at, "bootOrder"];
    const message = `Boot order for ${formatPath(place)} already set for a different device.`;
    const hint = "Give every disk and NIC with a boot order a number of its own.";
    return [errorAt({ code: "PT-REL-3", at: place, message, hint })];
  });
}

/** R4. KubeVirt names a path `launchSecurity` below the spec, where there is none. */
export function encryptedGuestsBootFromDisk(vmi: SpecContext): readonly Finding[] {
  const { sev, snp, tdx } = vmi.spec.domain.launchSecurity ?? {};
  const technology =
    sev !== undefined ? "SEV" : snp !== undefined ? "SEV-SNP" : tdx !== undefined ? "TDX" : "";
  if (technology === "") return [];
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    if (iface.bootOrder === undefined) return [];
    const message = `${technology} does not work with bootable NICs: ${iface.name}`;
    const field = formatPath([...vmi.path, "launchSecurity"]);
    const hint = "Remove the interface's bootOrder.";
    return [errorAt({ code: "PT-REL-4", at: [...at, "bootOrder"], field, message, hint })];
  });
}

/** PT-EARLY-30: KubeVirt's texts. */
export function uniqueDiskNames(vmi: SpecContext): readonly Finding[] {
  const disks = disksOf(vmi);
  return disks.flatMap(({ disk, at }, i) => {
    const first = disks.findIndex((other) => other.disk.name === disk.name);
    if (first === i) return [];
    const other = [...vmi.path, "domain", "devices", "disks", first];
    const message = `${formatPath(at)} and ${formatPath(other)} must not have the same Name.`;
    const hint = "A disk is joined to its volume by name: rename one disk and its volume.";
    return [errorAt({ code: "PT-EARLY-30", at: [...at, "name"], message, hint })];
  });
}

/** PT-EARLY-31: KubeVirt's texts. */
export function diskTargets(vmi: SpecContext): readonly Finding[] {
  return disksOf(vmi).flatMap(({ disk, at }) => {
    const targets = (["disk", "lun", "cdrom"] as const).filter((key) => disk[key] !== undefined);
    const findings: Finding[] = [];
    if (targets.length > 1) {
      const message = `${formatPath(at)} can only have a single target type defined`;
      const hint = `Keep one of ${targets.join(", ")}.`;
      findings.push(errorAt({ code: "PT-EARLY-31", at, message, hint }));
    }
    const key = targets[0];
    const target: DiskTarget = key === undefined ? {} : (disk[key] ?? {});
    return [...findings, ...diskBus(key ?? "disk", target, at), ...diskAddress(target, at, key)];
  });
}

function diskBus(key: string, target: DiskTarget, at: Path): readonly Finding[] {
  const bus: string = target.bus ?? "";
  const place = [...at, key, "bus"];
  const problem = busProblem(key, bus, target, at);
  return problem === undefined ? [] : [errorAt({ code: "PT-EARLY-31", at: place, ...problem })];
}

function busProblem(
  key: string,
  bus: string,
  target: DiskTarget,
  at: Path,
): { readonly message: string; readonly hint: string } | undefined {
  if (bus === "ide") return { message: "IDE bus is not supported", hint: "Use bus: sata." };
  if (bus === "virtio" && key === "cdrom") {
    return { message: "Bus type virtio is invalid for CD-ROM device", hint: "Use bus: sata for a CD-ROM." };
  }
  if (bus === "sata" && key === "disk" && target.readonly === true) {
    return { message: "sata hard-disks do not support read-only.", hint: "Use bus: virtio, or a cdrom." };
  }
  if (bus === "" || BUSES.includes(bus)) return undefined;
  const message = `${formatPath(at)} is set with an unrecognized bus ${bus}, must be one of: [${BUSES.join(" ")}]`;
  return { message, hint: `Use one of ${BUSES.join(", ")}.` };
}

function diskAddress(target: DiskTarget, at: Path, key: string | undefined): readonly Finding[] {
  const { pciAddress = "" } = target;
  if (pciAddress === "") return [];
  const place = [...at, key ?? "disk", "pciAddress"];
  const name = formatPath([...at, "name"]);
  if (target.bus !== "virtio") {
    const message = `disk ${name} - setting a PCI address is only possible with bus type virtio.`;
    return [errorAt({ code: "PT-EARLY-31", at: place, message, hint: "Write bus: virtio." })];
  }
  if (PCI_ADDRESS.test(pciAddress)) return [];
  const message = `disk ${name} has malformed PCI address (${pciAddress}).`;
  return [errorAt({ code: "PT-EARLY-31", at: place, message, hint: "Write it as 0000:81:01.0." })];
}

/** PT-EARLY-32: name, serial and cache; KubeVirt's texts. */
export function diskDetails(vmi: SpecContext): readonly Finding[] {
  return disksOf(vmi).flatMap(({ disk, at }) => {
    const { name, serial = "", cache = "" } = disk;
    const findings: Finding[] = [];
    const add = (place: string, message: string, hint: string): void => {
      findings.push(errorAt({ code: "PT-EARLY-32", at: [...at, place], message, hint }));
    };
    for (const message of dnsLabelErrors(name)) add("name", message, "Use a-z, 0-9 and dashes inside.");
    if (serial !== "" && !SERIAL.test(serial)) {
      const text = "must be made up of the following characters [A-Za-z0-9_.+-], if specified";
      add("serial", `${formatPath(at)} ${text}`, "Take the other characters out.");
    }
    if (serial.length > SERIAL_MAX) {
      const text = `must be less than or equal to ${SERIAL_MAX} in length, if specified`;
      add("serial", `${formatPath(at)} ${text}`, "Shorten the serial number.");
    }
    if (!CACHES.includes(cache)) {
      const message = `${formatPath([...at, "cache"])} has invalid value ${cache}`;
      add("cache", message, "Use none, writethrough or writeback.");
    }
    return findings;
  });
}

export const DISK_RULES: readonly SpecRule[] = [
  bootOrderPositive,
  bootOrderUnique,
  encryptedGuestsBootFromDisk,
  uniqueDiskNames,
  diskTargets,
  diskDetails,
];
