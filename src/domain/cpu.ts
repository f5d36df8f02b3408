/** CPUs of a guest: how many and how they are laid out, and which model the guest is shown. */

import { quantityValue } from "../api/quantity.ts";
import type { CpuSpec, DomainSpec } from "../api/types.ts";
import type { Accelerator } from "./devices.ts";

export interface CpuTopology {
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

/**
 * libvirt's `<cpu>`. `maximum` is everything that the accelerator can do; under TCG that is more than x86-64-v3,
 * which new distributions ask for, and QEMU's own default (qemu64) lacks.
 */
export type CpuModel =
  | { readonly mode: "host-passthrough" | "host-model" | "maximum" }
  | { readonly mode: "custom"; readonly model: string };

/** KubeVirt (`vcpu.GetCPUTopology`): parts left out are 1; without any, as many sockets as CPUs are limited or requested. */
export function cpuTopology(domain: DomainSpec): CpuTopology {
  const cpu = domain.cpu;
  if (cpu?.sockets || cpu?.cores || cpu?.threads) {
    return { sockets: cpu.sockets || 1, cores: cpu.cores || 1, threads: cpu.threads || 1 };
  }
  const reserved = domain.resources?.limits?.["cpu"] ?? domain.resources?.requests?.["cpu"];
  return { sockets: (reserved && quantityValue(reserved)) || 1, cores: 1, threads: 1 };
}

export function vcpuCount(topology: CpuTopology): number {
  return topology.sockets * topology.cores * topology.threads;
}

/**
 * The host's CPU cannot be passed through by an emulator, so both `host-…` modes mean `maximum` there. Under KVM
 * the default is host-passthrough: nothing needs to be probed, and a local VM does not migrate to another CPU.
 */
export function cpuModel(cpu: CpuSpec | undefined, accelerator: Accelerator["type"]): CpuModel {
  const wanted = cpu?.model ?? "host-passthrough";
  if (wanted === "host-passthrough" || wanted === "host-model") {
    return { mode: accelerator === "kvm" ? wanted : "maximum" };
  }
  return { mode: "custom", model: wanted };
}
