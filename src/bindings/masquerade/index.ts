/**
 * masquerade: the guest hides behind the pod's address.
 *
 *   guest 10.0.2.2 ── tap0 ── k6t-eth0 10.0.2.1 ──( nft )── eth0, the pod's address
 *
 * The pod NIC keeps its name and address, so the cluster sees an ordinary pod. The guest gets a fixed private
 * address from our DHCP and router advertisements on the bridge. Declared ports are translated to the guest, what
 * is not declared is dropped and counted, and whatever the guest sends leaves with the pod's address.
 *
 * Promises: the pod NIC is never renamed, renumbered or enslaved; the guest's addresses, MAC and router are the
 * same on every host; undoing is one bridge, one tap and our own nft tables.
 * Not here: filtering at the tap (plan/parts/anti-spoof.ts), answering the guest (guest/).
 */

import { type Cidr, cidrIp, eui64, toCidr } from "../../base/ip.ts";
import { BRIDGE_MAC, macToBytes } from "../../base/mac.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { Binding, NicContext } from "../../plan/binding.ts";
import { antiSpoofTable } from "../../plan/parts/anti-spoof.ts";
import { missingFamilies, noPodAddress, reportBehindPod } from "../../plan/parts/behind-pod.ts";
import { queuesOf, tapDomainInterface } from "../../plan/parts/domain-interface.ts";
import { guestMac } from "../../plan/parts/guest-mac.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import type { LinkPlan, NicPlan, SysctlPlan } from "../../plan/plan.ts";
import { type GuestNetwork, guestNetwork } from "./addresses.ts";
import { inboundOf } from "./inbound.ts";
import { guestServices, ROUTER_LINK_LOCAL } from "./services.ts";
import { podTable } from "./tables.ts";

export const masquerade: Binding = {
  bindingName: "masquerade",
  spelling: { masquerade: {} },
  traits: {
    podAddress: "natted",
    guestAddressing: "podtap",
    attaches: "tap",
    networks: "pod",
    liveMigration: "yes",
    hotplug: false,
    ports: "allow-list",
    path: "translated",
    layer2: false,
    podStack: true,
    rootless: false,
  },
  lacking: () => undefined,
  validate: () => [],
  podNeeds: () => ({ memoryMiB: 0 }),
  plan: planMasquerade,
  report: reportBehindPod,
};

function planMasquerade(nic: NicContext): Result<NicPlan> {
  const found = ([4, 6] as const).map((family) => guestNetwork(nic, family));
  const problems = found.filter((network) => network !== undefined && "code" in network) as Problem[];
  if (problems.length > 0) return failed(...problems);
  const [ipv4, ipv6] = found as (GuestNetwork | undefined)[];
  const networks = [ipv4, ipv6].filter((network) => network !== undefined);
  if (networks.length === 0) return failed(noPodAddress(nic, "hide behind"));

  const { mac, macOrigin } = guestMac(nic);
  const inbound = inboundOf(nic);
  return ok({
    name: nic.interface.name,
    bindingName: masquerade.bindingName,
    podInterface: nic.names.podInterface,
    addresses: {
      pod: networks.map((network) => network.podIp),
      guest: networks.map((network) => network.guest),
    },
    mac,
    macOrigin,
    links: links(nic, networks),
    sysctls: sysctls(nic, ipv4, ipv6),
    nft: [
      ...networks.map((network) => podTable(network, inbound, nic.names)),
      antiSpoofTable({
        tap: nic.names.tap,
        podInterface: nic.names.podInterface,
        mac,
        ipv4: ipv4 ? [ipv4.guest] : [],
        ipv6: ipv6 ? [ipv6.slaac ?? ipv6.guest] : [],
        routerIpv6: ipv6
          ? [ROUTER_LINK_LOCAL, ipv6.gateway, ...(ipv6.virtualDns ? [ipv6.virtualDns] : [])]
          : [],
      }),
    ],
    services: guestServices(nic, ipv4, ipv6),
    domain: tapDomainInterface(nic, mac, pathMtu(nic)),
    guestLink: nic.names.tap,
    notes: notes(nic, ipv4, ipv6),
  });
}

function links(nic: NicContext, networks: readonly GuestNetwork[]): readonly LinkPlan[] {
  const { bridge, tap } = nic.names;
  const mtu = nic.podLink.mtu;
  return [
    { type: "bridge", name: bridge, mac: BRIDGE_MAC, mtu, addresses: networks.flatMap(bridgeAddresses) },
    { type: "tap", name: tap, mtu, master: bridge, uid: nic.vm.runtimeUid, multiQueue: queuesOf(nic) > 1 },
  ];
}

function bridgeAddresses(network: GuestNetwork): readonly Cidr[] {
  const host = network.family === 4 ? 32 : 128;
  return [
    ...(network.family === 6 ? [toCidr(ROUTER_LINK_LOCAL, 64)] : []),
    toCidr(network.gateway, network.prefix),
    // Held by the bridge so that somebody answers ARP and ND for it; nothing listens there.
    ...(network.virtualDns === undefined ? [] : [toCidr(network.virtualDns, host)]),
    // Answers to guests that made themselves an address find the bridge by this one.
    ...(network.slaac === undefined || network.prefix <= 64
      ? []
      : [toCidr(eui64(cidrIp(network.slaac), macToBytes(BRIDGE_MAC)), 64)]),
  ];
}

function sysctls(
  nic: NicContext,
  ipv4: GuestNetwork | undefined,
  ipv6: GuestNetwork | undefined,
): readonly SysctlPlan[] {
  const { bridge, podInterface } = nic.names;
  const bridgeNetfilter = ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"];
  const acceptRa = `net/ipv6/conf/${podInterface}/accept_ra`;
  return [
    // With it, frames on our bridge would pass the pod's rules twice and hairpin flows miss their source
    // translation (kubevirt/kubevirt#10772). The namespace is the pod's own, so nobody else is touched.
    ...bridgeNetfilter
      .filter((key) => (nic.observed.sysctls[key] ?? null) !== null)
      .map((key) => ({ key, value: "0" })),
    ...(ipv4
      ? [
          { key: "net/ipv4/ip_forward", value: "1" },
          { key: `net/ipv4/conf/${bridge}/route_localnet`, value: "1" },
        ]
      : []),
    ...(ipv6
      ? [
          // A forwarding host ignores router advertisements; 2 keeps the route that the CNI's router gave
          // (kernel: Documentation/networking/ip-sysctl.rst, accept_ra).
          ...((nic.observed.sysctls[acceptRa] ?? "0") === "0" ? [] : [{ key: acceptRa, value: "2" }]),
          { key: "net/ipv6/conf/all/forwarding", value: "1" },
          // The bridge's link-local address is planned, not derived.
          { key: `net/ipv6/conf/${bridge}/addr_gen_mode`, value: "1" },
        ]
      : []),
  ];
}

function notes(
  nic: NicContext,
  ipv4: GuestNetwork | undefined,
  ipv6: GuestNetwork | undefined,
): readonly string[] {
  const text = [...missingFamilies(nic, { ipv4, ipv6 })];
  for (const network of [ipv4, ipv6]) {
    if (network !== undefined && network.nameservers.length > 0 && network.virtualDns === undefined) {
      text.push(`no room for a virtual resolver in ${network.cidr}: the guest asks the pod's nameservers`);
    }
  }
  return text;
}
