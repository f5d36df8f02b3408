/** How much memory a pod may use: the guest's and everything that runs beside it. */

import type { Vmi } from "../../api/types.ts";
import type { Accelerator } from "../../domain/devices.ts";
import { guestMemoryBytes } from "../../domain/memory.ts";

const MIB = 1024 * 1024;
/** QEMU's own heap and code, libvirtd, launcher: about 190 MiB by KubeVirt's reckoning, with room to spare. */
const OVERHEAD_MIB = 320;
/** QEMU's translation cache grows up to this (accel/tcg/region.c, DEFAULT_CODE_GEN_BUFFER_SIZE). */
const TCG_CACHE_MIB = 1024;

export function podMemoryBytes(vmi: Vmi, accelerator: Accelerator): number {
  const more = accelerator.type === "tcg" ? TCG_CACHE_MIB : 0;
  return (guestMemoryBytes(vmi.spec.domain) ?? 0) + (OVERHEAD_MIB + more) * MIB;
}
