/**
 * The bridge of podtap's own pod network, made before the first pod. The bridge plugin would make it too, but then
 * its IPv6 gateway address is tentative for a second or two, in which the first pod has no way out; and it would not
 * carry podtap's mark, without which nothing is deleted. The plugin finds it as it would have made it.
 */
import type { Kernel } from "../../../apply/ports.ts";
import { type Cidr, cidrIp, cidrNetwork, cidrPrefix, ipPlus, toCidr } from "../../../base/ip.ts";
import { LINK_MARK } from "../../../base/names.ts";
import type { ObservedLink } from "../../../plan/observed.ts";
import type { Step } from "../../../plan/step.ts";
import type { RangePair } from "./pod-ranges.ts";

export interface PodBridge {
  readonly name: string;
  readonly ranges: RangePair;
  readonly mtu: number;
}

/** Idempotent. @param host the engine's view of the host's own namespace */
export function makePodBridge(host: Kernel, bridge: PodBridge): void {
  for (const step of bridgeSteps(bridge, host.readLinks())) host.run(step);
}

export function deletePodBridge(host: Kernel, name: string): void {
  host.run({ op: "link.delete", name });
}

/** A bridge of earlier ranges is replaced when no pod is on it; the plugin refuses it otherwise, and says so. Pure. */
export function bridgeSteps(
  { name, ranges, mtu }: PodBridge,
  links: readonly ObservedLink[],
): readonly Step[] {
  const gateways = [ranges.v4, ...(ranges.v6 === undefined ? [] : [ranges.v6])].map(gatewayOf);
  const there = links.find((link) => link.name === name && link.alias === LINK_MARK);
  const stale =
    there?.addresses.some((address) => !isLinkLocal(address) && !gateways.includes(address)) ?? false;
  const idle = !links.some((link) => link.master === name);
  const v6: Step[] = [
    // Nobody else is asked for the addresses of our own bridge, and pods do not configure the host.
    { op: "sysctl.set", key: `net/ipv6/conf/${name}/accept_dad`, value: "0" },
    { op: "sysctl.set", key: `net/ipv6/conf/${name}/accept_ra`, value: "0" },
  ];
  return [
    ...(stale && idle ? [{ op: "link.delete", name } as const] : []),
    { op: "bridge.add", name, mtu },
    ...(ranges.v6 === undefined ? [] : v6),
    ...gateways.map((address): Step => ({ op: "address.add", link: name, address })),
    { op: "link.set", name, changes: { up: true } },
  ];
}

/** As the bridge plugin's isGateway: the first address, with the range's prefix. */
export function gatewayOf(range: Cidr): Cidr {
  return toCidr(ipPlus(cidrNetwork(range), 1), cidrPrefix(range));
}

function isLinkLocal(address: Cidr): boolean {
  return cidrIp(address).startsWith("fe80:");
}
