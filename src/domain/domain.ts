/**
 * A libvirt domain as data: everything that the XML will say, decided here and nowhere else. Pure: the same VMI,
 * NICs and disks give the same domain, so it can be printed, compared and tested without libvirt.
 *
 * What is left to libvirt: PCI addresses and root ports, controllers that a device implies, machine versions.
 * Left out on purpose: graphics, sound, balloon, USB without a USB disk. Each is a device that a guest under
 * emulation pays for at boot and that nothing here uses.
 */
import type { Vmi } from "../api/types.ts";
import { PodtapError } from "../base/errors.ts";
import { type CpuModel, type CpuTopology, cpuModel, cpuTopology, vcpuCount } from "./cpu.ts";
import type { Accelerator, DomainDisk, DomainKernel } from "./devices.ts";
import { type TargetedDisk, targetDisks } from "./disk-targets.ts";
import { firmwareUuid } from "./firmware-uuid.ts";
import type { DomainInterface } from "./interface.ts";
import { guestMemoryBytes } from "./memory.ts";

export interface DomainInput {
  readonly vmi: Vmi;
  /** From the stored plan, in the manifest's order. */
  readonly nics: readonly DomainInterface[];
  readonly disks: readonly DomainDisk[];
  readonly kernel?: DomainKernel;
  readonly accelerator: Accelerator;
  /** Unix socket that QEMU listens on for the one client of the serial console. */
  readonly consoleSocket: string;
  /** Unix socket of the guest agent's channel; libvirt is its client. */
  readonly agentSocket: string;
  /** Where the sockets of NICs without a tap are. */
  readonly nicSocketFolder: string;
}

export interface DomainModel {
  readonly hypervisor: "kvm" | "qemu";
  /** KubeVirt's: `<namespace>_<name>`. */
  readonly name: string;
  readonly uuid: string;
  /** Kept in the XML's metadata: which VMI a found domain belongs to. */
  readonly vmiUid: string;
  readonly memoryBytes: number;
  readonly vcpus: number;
  readonly topology: CpuTopology;
  readonly cpu: CpuModel;
  readonly machine: string;
  readonly serialNumber?: string;
  readonly kernel?: DomainKernel;
  readonly disks: readonly TargetedDisk[];
  readonly nics: readonly DomainInterface[];
  readonly consoleSocket: string;
  readonly agentSocket: string;
  readonly nicSocketFolder: string;
  /** The guest's memory can be mapped by another process. */
  readonly sharedMemory: boolean;
  readonly rng: boolean;
}

/** @throws PodtapError `PT-DOMAIN-2` when the manifest names no memory. */
export function planDomain(input: DomainInput): DomainModel {
  const { vmi, kernel } = input;
  const spec = vmi.spec.domain;
  const topology = cpuTopology(spec);
  return {
    hypervisor: input.accelerator.type === "kvm" ? "kvm" : "qemu",
    name: domainName(vmi),
    uuid: firmwareUuid(vmi),
    vmiUid: vmi.metadata.uid ?? "",
    memoryBytes: memoryOf(vmi),
    vcpus: vcpuCount(topology),
    topology,
    cpu: cpuModel(spec.cpu, input.accelerator.type),
    machine: spec.machine?.type || "q35",
    ...(spec.firmware?.serial === undefined ? {} : { serialNumber: spec.firmware.serial }),
    ...(kernel === undefined ? {} : { kernel }),
    disks: targetDisks(input.disks),
    nics: input.nics,
    consoleSocket: input.consoleSocket,
    agentSocket: input.agentSocket,
    nicSocketFolder: input.nicSocketFolder,
    sharedMemory: input.nics.some((nic) => nic.type === "user-backend" && nic.attach === "vhost-user"),
    rng: spec.devices.rng !== undefined,
  };
}

export function domainName(vmi: Vmi): string {
  return `${vmi.metadata.namespace ?? "default"}_${vmi.metadata.name}`;
}

function memoryOf(vmi: Vmi): number {
  const bytes = guestMemoryBytes(vmi.spec.domain);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new PodtapError({
    code: "PT-DOMAIN-2",
    message: `${domainName(vmi)} has no memory: spec.domain.memory.guest and resources.requests.memory are both missing or not a size`,
    hint: "Set spec.domain.memory.guest, for example to 1Gi.",
    blame: "manifest",
    retry: "on-change",
  });
}
