/**
 * The pod's translation and filter rules, one table a family. Chain names where KubeVirt has them are KubeVirt's.
 *
 * A flow from outside: prerouting → KUBEVIRT_PREINBOUND translates declared ports to the guest (one map lookup,
 * however many ports) → forward lets what was translated pass. What was not ends in `input` and is dropped and
 * counted. A flow of the guest: forward lets its own address out → postrouting gives it the pod's address.
 * Hairpin (guest to the pod's own address): the same map, and the gateway's address as source, so that the
 * answer comes back through the pod.
 */

import type { WiringNames } from "../../base/names.ts";
import type { NftChain, NftSet, NftTable } from "../../nft/model.ts";
import { formatInterval, type PortInterval } from "../../plan/parts/port-intervals.ts";
import type { GuestNetwork } from "./addresses.ts";
import { type Inbound, loopbackSources } from "./inbound.ts";

/** Packets to ports that the manifest did not declare, from outside. */
export const UNDECLARED = "undeclared_inbound";
/** Packets of the guest to the pod itself. */
export const GUEST_TO_POD = "guest_to_pod";

export function podTable(network: GuestNetwork, inbound: Inbound, names: WiringNames): NftTable {
  return {
    family: network.family === 4 ? "ip" : "ip6",
    name: `podtap-${names.podInterface}`,
    counters: [{ name: UNDECLARED }, { name: GUEST_TO_POD }],
    sets: portMaps(network, inbound),
    chains: [...natChains(network, inbound, names), ...filterChains(network, inbound, names)],
  };
}

function portMaps(network: GuestNetwork, inbound: Inbound): readonly NftSet[] {
  const maps: NftSet[] = [];
  if (inbound.forward !== "all") maps.push(portMap("inbound", network, inbound.forward));
  if (inbound.local !== "all" && inbound.local !== inbound.forward) {
    maps.push(portMap("inbound_local", network, inbound.local));
  }
  return maps;
}

function portMap(name: string, network: GuestNetwork, intervals: readonly PortInterval[]): NftSet {
  return {
    name,
    key: "inet_proto . inet_service",
    to: network.family === 4 ? "ipv4_addr" : "ipv6_addr",
    // A hash is smaller and quicker than what the kernel needs for ranges.
    interval: intervals.some(({ start, end }) => start !== end),
    elements: intervals.map((interval) => ({
      key: `${interval.protocol} . ${formatInterval(interval)}`,
      value: network.guest,
    })),
  };
}

function natChains(network: GuestNetwork, inbound: Inbound, names: WiringNames): readonly NftChain[] {
  const { podInterface: pod, bridge } = names;
  const ip = network.family === 4 ? "ip" : "ip6";
  const loopback = loopbackSources(network.family, inbound);
  const exempt =
    inbound.exemptTcpPorts.length === 0
      ? []
      : [`tcp dport { ${inbound.exemptTcpPorts.join(", ")} } ${ip} saddr ${loopback[0]} counter return`];
  const guestSources = network.slaac ?? network.guest;
  return [
    {
      name: "prerouting",
      hook: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" },
      rules: [
        ...virtualDnsRules(network, names),
        // Only what is addressed to the pod: a neighbour may route foreign destinations through it.
        `iifname "${pod}" fib daddr type local jump KUBEVIRT_PREINBOUND`,
        `iifname "${bridge}" ${ip} daddr ${network.podIp} jump KUBEVIRT_PREINBOUND`,
      ],
    },
    {
      name: "output",
      hook: { type: "nat", hook: "output", priority: -100, policy: "accept" },
      rules: [
        ...exempt,
        `${ip} daddr { ${loopback[0]}, ${network.podIp} } counter ${translate(network, inbound.local, inbound.local === inbound.forward ? "inbound" : "inbound_local")}`,
      ],
    },
    {
      name: "postrouting",
      hook: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
      rules: [
        `oifname "${bridge}" jump KUBEVIRT_POSTINBOUND`,
        `oifname != "${bridge}" ${ip} saddr ${guestSources} counter masquerade`,
      ],
    },
    { name: "KUBEVIRT_PREINBOUND", rules: [`counter ${translate(network, inbound.forward, "inbound")}`] },
    {
      name: "KUBEVIRT_POSTINBOUND",
      rules: [
        ...exempt,
        `${ip} saddr { ${[...loopback, guestSources].join(", ")} } counter snat to ${network.gateway}`,
      ],
    },
  ];
}

function virtualDnsRules(network: GuestNetwork, names: WiringNames): readonly string[] {
  const { virtualDns, podNameservers } = network;
  if (virtualDns === undefined) return [];
  const ip = network.family === 4 ? "ip" : "ip6";
  const target =
    podNameservers.length === 1
      ? podNameservers[0]
      : `numgen inc mod ${podNameservers.length} map { ${podNameservers.map((server, i) => `${i} : ${server}`).join(", ")} }`;
  return [
    `iifname "${names.bridge}" ${ip} daddr ${virtualDns} meta l4proto { tcp, udp } th dport 53 counter dnat to ${target}`,
  ];
}

function translate(network: GuestNetwork, ports: Inbound["forward"], map: string): string {
  return ports === "all" ? `dnat to ${network.guest}` : `dnat to meta l4proto . th dport map @${map}`;
}

function filterChains(network: GuestNetwork, inbound: Inbound, names: WiringNames): readonly NftChain[] {
  const { podInterface: pod, bridge } = names;
  const ip = network.family === 4 ? "ip" : "ip6";
  const icmp = network.family === 4 ? "icmp" : "ipv6-icmp";
  const dhcpPorts = network.family === 4 ? "udp dport 67" : "udp dport 547";
  return [
    {
      name: "input",
      hook: { type: "filter", hook: "input", priority: 0, policy: "accept" },
      rules: [
        "ct state established,related accept",
        `meta l4proto ${icmp} accept`,
        // Answered by the launcher on its packet socket; the pod's stack would refuse them to the guest's face.
        `iifname "${bridge}" ${dhcpPorts} drop`,
        `iifname "${bridge}" counter name ${GUEST_TO_POD} drop`,
        ...(inbound.meshed ? [] : [`iifname "${pod}" counter name ${UNDECLARED} drop`]),
      ],
    },
    {
      name: "forward",
      hook: { type: "filter", hook: "forward", priority: 0, policy: "accept" },
      rules: [
        "ct state established,related accept",
        "ct status dnat accept",
        `oifname "${bridge}" counter name ${UNDECLARED} drop`,
        // Untracked leftovers of closed connections would leave with the guest's private address.
        `iifname "${bridge}" ct state invalid drop`,
        `iifname "${bridge}" ${ip} saddr ${network.slaac ?? network.guest} accept`,
        `iifname "${bridge}" drop`,
      ],
    },
  ];
}
