/**
 * An in-pod bridge between tap and pod NIC, the guest in the pod's place (KubeVirt: `netpod.go`, bridge and
 * managedTap):
 *
 *   guest, the pod's MAC and addresses ── tap ── k6t-… ── <n>-nic ── CNI
 *                                                         <n>: park, never up, name and addresses for CNI CHECK
 *
 * Theory of operation. The pod NIC gives up name, MAC, addresses and routes and becomes a port. Neither port learns:
 * the guest's MAC is pinned to the tap, everything else goes out of the other port, and no forged frame moves an
 * entry. The bridge answers ARP and ND for the guest with the guest's MAC, on the tap's suppression flag and its own
 * permanent neighbours, so that a booting or paused guest does not vanish from its neighbours' tables; the kernel
 * wants the flag on the guest's port only (lab-notes 4.4). Answers need no address of the bridge and no stack of the
 * pod, which neither hears nor speaks here: the pod's address is still local to it, and nobody is to find that out.
 *
 * Who leaves addressing to the network gets none of our services and no filter of addresses: the tap lets the
 * guest's MAC through and keeps it from being a router or a DHCP server.
 */
import type { LabelledAddress } from "../../api/types.ts";
import { type Cidr, familyOf, toCidr } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NftChain, NftTable } from "../../nft/model.ts";
import type { NicContext, NicEvidence } from "../binding.ts";
import type { LinkPlan, NeighbourPlan, NicPlan, ParkKind, SysctlPlan } from "../plan.ts";
import { antiSpoofTable } from "./anti-spoof.ts";
import { DHCP_COUNTERS, dhcpInside } from "./dhcp-inside.ts";
import { queuesOf, tapDomainInterface } from "./domain-interface.ts";
import { podsMac } from "./guest-mac.ts";
import { pathMtu } from "./path-mtu.ts";
import {
  dhcpServerIp,
  LAST_SERVER_INDEX,
  podAddressNotes,
  podAddressServices,
  wiringMac,
} from "./pod-address-services.ts";
import { handedOver, type PodAddresses, podAddresses } from "./pod-addresses.ts";
import { type PodRedirects, podRedirects } from "./pod-redirect.ts";
import { portSecurityNotes, stationIdentity } from "./port-security.ts";
import { noMac, noServerAddress, unbridgeable } from "./unbridgeable.ts";

/** Who tells the guest its addresses. */
export type Addressing = "podtap" | "network";

export interface PodBridgeOptions {
  readonly bindingName: string;
  readonly addressing: Addressing;
  /** What to take for a NIC that cannot be bridged. */
  readonly alternative: string;
  /** KubeVirt's address on the bridge. */
  readonly serverOnBridge: boolean;
}

/** Everything about the NIC that was decided before the plan is put together. */
interface Wiring {
  readonly nic: NicContext;
  readonly options: PodBridgeOptions;
  readonly mac: Mac;
  /** Of bridge and port. */
  readonly ownMac: Mac;
  readonly addresses: PodAddresses;
}

export function planPodBridge(nic: NicContext, options: PodBridgeOptions): Result<NicPlan> {
  const refusal = unbridgeable(nic, options.alternative, nic.podLink.type);
  if (refusal !== undefined) return failed(refusal);
  const guest = podsMac(nic);
  if (guest === undefined) return failed(noMac(nic, options.alternative));
  const addresses = podAddresses(nic);
  if (addresses.ipv4 && nic.index > LAST_SERVER_INDEX) return failed(noServerAddress(nic));
  const { mac, macOrigin } = guest;
  const wiring: Wiring = { nic, options, mac, ownMac: wiringMac(nic), addresses };
  const { tap, podInterface } = nic.names;
  const known = handedOver(addresses);
  const served = isServed(wiring);
  const door = { link: tap, serverMac: wiring.ownMac, guestMac: mac };
  return ok({
    name: nic.interface.name,
    bindingName: options.bindingName,
    podInterface,
    addresses: { pod: known, guest: served ? known : [] },
    mac,
    macOrigin,
    links: links(wiring),
    sysctls: sysctls(wiring),
    nft: [filter(wiring)],
    services: served ? podAddressServices(nic, addresses, door) : [],
    domain: tapDomainInterface(nic, mac, pathMtu(nic)),
    guestLink: tap,
    notes: notes(wiring),
  });
}

/** Of the guest: what the agent or a lease confirms, else what CNI gave. */
export function reportPodBridge(plan: NicPlan, seen: NicEvidence): readonly LabelledAddress[] {
  const { pod, guest } = plan.addresses;
  const others = seen.agentAddresses.filter((ip) => !guest.includes(ip));
  // Left to the network, the guest may have got another address than CNI gave the pod: the agent knows.
  const unsure = pod.filter(
    (ip) => !guest.includes(ip) && !seen.agentAddresses.some((other) => familyOf(other) === familyOf(ip)),
  );
  return [
    ...guest.map((ip): LabelledAddress => ({ ip, owner: "guest", source: sourceOf(ip, seen) })),
    ...others.map((ip): LabelledAddress => ({ ip, owner: "guest", source: "guest-agent" })),
    ...unsure.map((ip): LabelledAddress => ({ ip, owner: "pod", source: "cni" })),
  ];
}

function sourceOf(ip: LabelledAddress["ip"], seen: NicEvidence): LabelledAddress["source"] {
  if (seen.agentAddresses.some((other) => other === ip)) return "guest-agent";
  return seen.leased.some((other) => other === ip) ? "dhcp" : "cni";
}

function isServed({ options, addresses }: Wiring): boolean {
  return options.addressing === "podtap" && handedOver(addresses).length > 0;
}

function links(wiring: Wiring): readonly LinkPlan[] {
  const { nic, mac, ownMac } = wiring;
  const { names, podLink, vm } = nic;
  const { mtu } = podLink;
  const neighbours = isServed(wiring) ? neighboursOf(wiring) : [];
  const shortcut = shortcutOf(wiring);
  return [
    {
      type: "pod-nic",
      index: podLink.index,
      name: names.renamedNic,
      mac: ownMac,
      master: names.bridge,
      port: { learning: false },
      released: true,
      ...(shortcut && { redirect: shortcut.ofPodNic }),
    },
    {
      type: "bridge",
      name: names.bridge,
      mac: ownMac,
      mtu,
      addresses: bridgeAddresses(wiring),
      ...(neighbours.length > 0 && { neighbours }),
    },
    {
      type: "tap",
      name: names.tap,
      mtu,
      master: names.bridge,
      uid: vm.runtimeUid,
      multiQueue: queuesOf(nic) > 1,
      port: {
        learning: false,
        ...(neighbours.length > 0 && { neighbourSuppression: true }),
        staticMacs: [mac],
      },
      ...(shortcut && { redirect: shortcut.ofTap }),
    },
    {
      type: "park",
      name: names.podInterface,
      kind: parkKind(wiring),
      mac: podLink.mac ?? mac,
      mtu,
      addresses: podLink.addresses,
    },
  ];
}

/** Past the bridge, which costs as much as the veth. By eBPF only: a row of u32 filters would cost what it saves. */
function shortcutOf(wiring: Wiring): PodRedirects | undefined {
  const { nic, mac, ownMac, addresses } = wiring;
  if (!nic.vm.features.classifiers.includes("bpf")) return undefined;
  const served = isServed(wiring);
  const guest = stationIdentity(nic, mac, addresses, served);
  return podRedirects({
    nic,
    classifier: "bpf",
    guest,
    served,
    podNic: nic.names.renamedNic,
    beside: ownMac,
  });
}

/**
 * A dummy is NOARP, so an IPv6 address on it is never tentative but local at once, and the kernel's bridge answers ND
 * for no address that is local anywhere in its namespace (br_is_local_ip6). On a bridge without ports that is never
 * up it stays tentative.
 */
function parkKind(wiring: Wiring): ParkKind {
  return wiring.nic.vm.features.dummy && !answersNd(wiring) ? "dummy" : "bridge";
}

function answersNd(wiring: Wiring): boolean {
  return isServed(wiring) && wiring.addresses.ipv6 !== undefined;
}

function bridgeAddresses({ nic, options, addresses }: Wiring): readonly Cidr[] {
  return options.serverOnBridge && addresses.ipv4 ? [toCidr(dhcpServerIp(nic.index), 32)] : [];
}

function neighboursOf({ mac, addresses }: Wiring): readonly NeighbourPlan[] {
  return handedOver(addresses).map((ip) => ({ ip, mac }));
}

function sysctls(wiring: Wiring): readonly SysctlPlan[] {
  const { nic, addresses } = wiring;
  const { bridge, podInterface } = nic.names;
  const hasIpv6 = (nic.observed.sysctls[`net/ipv6/conf/${podInterface}/accept_ra`] ?? null) !== null;
  return [
    // The pod's address is local to the pod while it is parked; the guest alone is to answer for it.
    ...(addresses.ipv4 ? [{ key: "net/ipv4/conf/all/arp_ignore", value: "1" }] : []),
    // IPv6 stays on, for the bridge answers ND only then; and it has no address to announce.
    ...(hasIpv6
      ? [
          { key: `net/ipv6/conf/${bridge}/accept_ra`, value: "0" },
          { key: `net/ipv6/conf/${bridge}/addr_gen_mode`, value: "1" },
        ]
      : []),
    // Where a pod's links need not prove their addresses, the parked one would be the pod's own at once.
    ...(answersNd(wiring) ? [{ key: `net/ipv6/conf/${podInterface}/accept_dad`, value: "1" }] : []),
  ];
}

function filter(wiring: Wiring): NftTable {
  const { nic, mac, addresses } = wiring;
  const { names } = nic;
  const served = isServed(wiring);
  const table = antiSpoofTable(stationIdentity(nic, mac, addresses, served));
  return {
    ...table,
    counters: [...table.counters, ...(served ? DHCP_COUNTERS.map((name) => ({ name })) : [])],
    chains: [
      ...table.chains,
      ...(served ? [dhcpInside(names.tap, names.renamedNic)] : []),
      ...deafPod([names.tap, names.renamedNic]),
    ],
  };
}

/** Of this bridge; the pod may have others. */
function deafPod(ports: readonly string[]): readonly NftChain[] {
  const names = ports.map((port) => `"${port}"`).join(", ");
  return [
    {
      name: "to_pod",
      hook: { type: "filter", hook: "input", priority: -300, policy: "accept" },
      rules: [`iifname { ${names} } drop`],
    },
    {
      name: "from_pod",
      hook: { type: "filter", hook: "output", priority: -300, policy: "accept" },
      rules: [`oifname { ${names} } drop`],
    },
  ];
}

function notes(wiring: Wiring): readonly string[] {
  const { nic, options, addresses } = wiring;
  const pod = nic.names.podInterface;
  const filtered = ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"].filter(
    (key) => nic.observed.sysctls[key] === "1",
  );
  return [
    ...(options.addressing === "podtap"
      ? podAddressNotes(nic, addresses)
      : [`addresses are the network's business: DHCP and router advertisements pass ${pod} unfiltered`]),
    ...portSecurityNotes(nic),
    ...(nic.vm.features.dummy
      ? []
      : [`this kernel has no dummy: a bridge without ports keeps ${pod}'s name and addresses`]),
    ...(filtered.length > 0
      ? [
          `${filtered.map((key) => key.slice("net/bridge/".length)).join(", ")}: 1 in the pod, so forward rules there see the guest's packets; podtap makes none and leaves the switch alone`,
        ]
      : []),
  ];
}
