/** podtap's own pod network: the standard bridge plugin with host-local addresses. Pure. */
import type { ObservedLink, ObservedRoute } from "../../../plan/observed.ts";
import type { CniNetwork } from "./conflist.ts";
import type { RangePair } from "./pod-ranges.ts";

export const POD_BRIDGE = "podtap0";
const ETHERNET_MTU = 1500;

export interface DefaultNetwork {
  readonly ranges: RangePair;
  readonly mtu: number;
  /**
   * With br_netfilter a pod that reaches itself by its Service is answered on the port it asked from: the kernel
   * bridges what DNAT sends back into the same bridge (br_nf_pre_routing_finish). Otherwise off, for reflected
   * broadcasts disturb duplicate address detection and the learning of bridges behind the port.
   */
  readonly hairpin: boolean;
  /** host-local's leases; in the run directory, as pods do not survive a reboot. */
  readonly leaseDir: string;
}

export function defaultNetwork({ ranges, mtu, hairpin, leaseDir }: DefaultNetwork): CniNetwork {
  const both = [ranges.v4, ...(ranges.v6 === undefined ? [] : [ranges.v6])];
  return {
    cniVersion: "1.0.0",
    name: "podtap",
    plugins: [
      {
        type: "bridge",
        bridge: POD_BRIDGE,
        isGateway: true,
        // The plugin's masquerading needs iptables; the host table does it (services/host-tables.ts).
        ipMasq: false,
        hairpinMode: hairpin,
        mtu,
        capabilities: { mac: true, ips: true },
        ipam: {
          type: "host-local",
          dataDir: leaseDir,
          ranges: both.map((subnet) => [{ subnet }]),
          routes: both.map((subnet) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" })),
        },
      },
    ],
  };
}

/** Of the links with default routes the smallest: what a pod sends is not to be refused on the way out. */
export function uplinkMtu(links: readonly ObservedLink[], routes: readonly ObservedRoute[]): number {
  const uplinks = new Set(defaultRoutes(routes).map((route) => route.link));
  const sizes = links.filter((link) => uplinks.has(link.name)).map((link) => link.mtu);
  return sizes.length === 0 ? ETHERNET_MTU : Math.min(...sizes);
}

export function defaultRoutes(routes: readonly ObservedRoute[]): readonly ObservedRoute[] {
  return routes.filter(({ destination }) => destination === "0.0.0.0/0" || destination === "::/0");
}
