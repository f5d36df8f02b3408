/**
 * What KubeVirt takes for the same work. Not measured in these runs: phase 1 by its own Go code (v1.4) on
 * a machine of this kind, the DHCP server alike, and the overhead that its documentation reckons with
 * (`pkg/virt-controller/services/template.go`, GetMemoryOverhead).
 */
export const KUBEVIRT = {
  /** By binding (lab-notes 1.1); of the bridge with its dummy replaced by another link. */
  phase1: {
    masquerade: { kubevirtMs: 121, kubevirtCpuMs: 128 },
    bridge: { kubevirtMs: "11-17", kubevirtCpuMs: 12 },
  } as Readonly<Record<string, { readonly kubevirtMs: number | string; readonly kubevirtCpuMs: number }>>,
  dhcpP50Ms: 0.28,
  /** At 10,000 exchanges a second. */
  dhcpLossPercent: 1.6,
  overheadMiB: 190,
} as const;
