/**
 * How much memory the guest sees. KubeVirt's order (`vcpu.GetVirtualMemory`): what the manifest says the guest
 * has, else what it requests of the node, else its limit.
 */

import { quantityValue } from "../api/quantity.ts";
import type { DomainSpec } from "../api/types.ts";

/** undefined when the manifest names no memory, or not as a quantity. */
export function guestMemoryBytes(domain: DomainSpec): number | undefined {
  const wanted =
    domain.memory?.guest ?? domain.resources?.requests?.["memory"] ?? domain.resources?.limits?.["memory"];
  return wanted === undefined ? undefined : quantityValue(wanted);
}
