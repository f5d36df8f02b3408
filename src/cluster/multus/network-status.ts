/**
 * What became of a pod's networks, as Multus writes it on the pod and KubeVirt reads it (the standard's section 4.2;
 * `pkg/network/multus/status.go`). Pure.
 */
export const NETWORK_STATUS_ANNOTATION = "k8s.v1.cni.cncf.io/network-status";

export interface NetworkStatus {
  /** `namespace/nad`; for the pod network the CNI network's name. */
  readonly name: string;
  readonly interface: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly mtu?: number;
  readonly default?: true;
  readonly dns: {
    readonly nameservers?: readonly string[];
    readonly domain?: string;
    readonly search?: readonly string[];
    readonly options?: readonly string[];
  };
  /** Of its default routes. */
  readonly gateway?: readonly string[];
}

/** Indented as Multus does, for people look at it. */
export function renderNetworkStatus(list: readonly NetworkStatus[]): string {
  return JSON.stringify(list, null, 4);
}

/** Text that is no such list counts as empty, as in KubeVirt. */
export function parseNetworkStatus(text: string | undefined): readonly NetworkStatus[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value)
      ? value.filter((entry) => typeof (entry as NetworkStatus | null)?.interface === "string")
      : [];
  } catch {
    return [];
  }
}
