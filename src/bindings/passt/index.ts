/**
 * passt: the guest's packets become sockets of the pod's, and the other way round.
 *
 *   guest 10.244.1.7 ── QEMU ──( frames )── passt ──( sockets )── eth0 10.244.1.7 ── the network
 *
 * The pod NIC is left as CNI made it, and the guest has the pod's addresses: passt (https://passt.top) tells it by
 * DHCP, DHCPv6 and router advertisements of its own. Nothing in the pod is bridged, filtered or translated, so no
 * step needs root but two settings, and without a pod none does.
 *
 * What comes in are the ports that passt listens on: the declared ones. What goes out is a connection of passt's.
 * IPv4 and IPv6 with TCP, UDP and echo, nothing else: no other EtherType, no broadcast, no multicast.
 */

import { USER_NETWORK_ANNOTATION } from "../../api/annotations.ts";
import type { LabelledAddress } from "../../api/types.ts";
import { cidrIp, isGlobalUnicast } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { DomainInterface } from "../../domain/interface.ts";
import type { Binding, NicContext, NicEvidence } from "../../plan/binding.ts";
import type { HostFeatures, UserNetworkWay } from "../../plan/host-features.ts";
import { missingFamilies, noPodAddress } from "../../plan/parts/behind-pod.ts";
import { domainNic, queuesOf } from "../../plan/parts/domain-interface.ts";
import { guestMac } from "../../plan/parts/guest-mac.ts";
import { hostPortNotes, hostPortsOf, listenersOf, reportRootless } from "../../plan/parts/host-ports.ts";
import { openPorts } from "../../plan/parts/inbound.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import type { NicPlan, UserNetworkPlan } from "../../plan/plan.ts";
import { passtAddresses } from "./addresses.ts";
import { passtArguments, passtWords } from "./command.ts";
import { forwardsOf } from "./forwards.ts";
import type { PasstSettings } from "./settings.ts";

const PROGRAM = "passt";
/** passt itself, the process that carries frames to it, and the sockets of all ports (KubeVirt asks for 250). */
const MEMORY_MIB = { some: 128, all: 384 } as const;

/** All but ephemeral ports, TCP and UDP: some 75,000 sockets with one family. Generous, for the kernel's own use. */
const FILES_FOR_ALL = 80_000;

export const passt: Binding = {
  bindingName: "passt",
  spelling: { passtBinding: {} },
  traits: {
    podAddress: "kept",
    guestAddressing: "podtap",
    attaches: "user-network",
    networks: "pod",
    liveMigration: "no",
    hotplug: false,
    ports: "allow-list",
    path: "user-space",
    layer2: false,
    podStack: true,
    rootless: true,
  },
  lacking: (features) =>
    waysOf(features).length > 0 ? undefined : "passt is not installed: `apt-get install passt`",
  validate: () => [],
  podNeeds: ({ interface: nic }) => {
    const declared = (nic.ports?.length ?? 0) + (nic.portRanges?.length ?? 0) > 0;
    return { memoryMiB: declared ? MEMORY_MIB.some : MEMORY_MIB.all };
  },
  plan: planPasst,
  report,
};

function planPasst(nic: NicContext): Result<NicPlan> {
  const { rootless } = nic.vm;
  const ways = waysOf(nic.vm.features);
  if (ways.length === 0) return failed(noProgram(nic));
  // By libvirt, ports of the host cannot lead to others of the guest.
  const wanted = rootless ? "stream" : (nic.annotations[USER_NETWORK_ANNOTATION] ?? ways[0]);
  const way = ways.find((one) => one === wanted);
  if (way === undefined) return failed(noSuchWay(nic, wanted ?? "", ways));
  const addresses = passtAddresses(nic);
  const found = [addresses.ipv4, addresses.ipv6].filter((one) => one !== undefined);
  if (found.length === 0) return failed(noPodAddress(nic, "share with the guest"));
  const ports = openPorts(nic);
  const needed = FILES_FOR_ALL * found.length;
  const all = ports.ports === "all" && rootless === undefined;
  if (all && nic.vm.features.openFiles < needed) return failed(tooFewFiles(nic, needed));
  const hostPorts = rootless && hostPortsOf(nic, rootless, ports.ports);
  if (hostPorts?.ok === false) return hostPorts;
  const own = guestMac(nic);
  const settings: PasstSettings = {
    nic,
    ...addresses,
    mtu: pathMtu(nic),
    forwards: forwardsOf(ports),
    ...(hostPorts && { hostPorts: hostPorts.value }),
  };
  const socket = `${PROGRAM}-${nic.names.podInterface}.sock`;
  const ips = found.map(({ address }) => cidrIp(address));
  return ok({
    name: nic.interface.name,
    bindingName: passt.bindingName,
    podInterface: nic.names.podInterface,
    addresses: { pod: rootless ? listenersOf(rootless, hostPorts?.value) : ips, guest: ips },
    ...own,
    links: [],
    sysctls: rootless
      ? []
      : [
          // Echo without a raw socket, and ports below 1024, for the pod's unprivileged user (KubeVirt does the same).
          { key: "net/ipv4/ping_group_range", value: `${nic.vm.runtimeUid} ${nic.vm.runtimeUid}` },
          { key: "net/ipv4/ip_unprivileged_port_start", value: "0" },
        ],
    nft: [],
    services: [],
    domain: domainOf(way, settings, own.mac, socket),
    ...(way === "stream" && { userNetwork: programOf(settings, own.mac, socket) }),
    ...(hostPorts && { hostPorts: hostPorts.value }),
    guestLink: nic.names.podInterface,
    notes: notes(settings, way),
  });
}

function waysOf({ userNetworks }: HostFeatures): readonly UserNetworkWay[] {
  return userNetworks.find(({ program }) => program === PROGRAM)?.ways ?? [];
}

function domainOf(
  way: UserNetworkWay,
  { nic, mtu, ipv4, ipv6, forwards }: PasstSettings,
  mac: NicPlan["mac"],
  socket: string,
): DomainInterface {
  const base = domainNic(nic, mac, mtu);
  if (way === "stream") return { type: "user", netdev: { type: "stream", socket }, ...base };
  return {
    type: "user-backend",
    backend: PROGRAM,
    attach: way === "vhost-user" ? "vhost-user" : "stream",
    source: nic.names.podInterface,
    addresses: [ipv4, ipv6].flatMap((one) => (one === undefined ? [] : [one.address])),
    forwards,
    ...base,
  };
}

function programOf(settings: PasstSettings, mac: NicPlan["mac"], socket: string): UserNetworkPlan {
  return {
    program: PROGRAM,
    arguments: passtArguments(settings, mac),
    socket,
    words: passtWords(settings, mac),
  };
}

function notes({ nic, ipv4, ipv6 }: PasstSettings, way: UserNetworkWay): readonly string[] {
  const { podInterface } = nic.names;
  const text = [...missingFamilies(nic, { ipv4, ipv6 })];
  for (const one of [ipv4, ipv6]) {
    if (one !== undefined && !one.routed)
      text.push(
        `${podInterface} has no default route for ${cidrIp(one.address)}: ${one.gateway} leads nowhere`,
      );
  }
  if (queuesOf(nic) > 1) text.push("one queue: passt has no more");
  text.push(...hostPortNotes(nic, openPorts(nic)));
  text.push(WAYS[way]);
  return text;
}

/** What libvirt has no words for. */
const BY_LIBVIRT = "MTU and DNS by DHCP are passt's own, the router's address leads to the pod's loopback";

const WAYS: Readonly<Record<UserNetworkWay, string>> = {
  "vhost-user": `passt by libvirt over vhost-user: it shares the guest's memory; ${BY_LIBVIRT}, no status of it`,
  backend: `passt by libvirt over a socket; ${BY_LIBVIRT}`,
  stream: "passt by the launcher over a socket",
};

function noProgram(nic: NicContext): Problem {
  return {
    code: "PT-PASST-1",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: nic.field,
    message: `interface ${nic.interface.name} needs passt, which this host does not have`,
    hint: "install it (`apt-get install passt`), or take `masquerade: {}`",
  };
}

function noSuchWay(nic: NicContext, wanted: string, ways: readonly UserNetworkWay[]): Problem {
  return {
    code: "PT-PASST-3",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: `metadata.annotations[${USER_NETWORK_ANNOTATION}]`,
    message: `interface ${nic.interface.name} cannot be joined to passt by ${wanted}: this host's libvirt was asked, and does not take it`,
    hint: `there is: ${ways.join(", ")}`,
  };
}

function tooFewFiles(nic: NicContext, needed: number): Problem {
  return {
    code: "PT-PASST-2",
    severity: "error",
    reason: "FieldValueInvalid",
    field: nic.field,
    message: `interface ${nic.interface.name} is to be reached on every port: passt needs ${needed} open files for that, and ${nic.vm.features.openFiles} are allowed`,
    hint: "declare the ports, or raise the daemon's limit (LimitNOFILE of the systemd unit, `ulimit -Hn`)",
  };
}

/** Pod and guest have the same addresses; what else the guest has is nobody's business but its own. */
function report(plan: NicPlan, seen: NicEvidence): readonly LabelledAddress[] {
  if (plan.hostPorts !== undefined) return reportRootless(plan, seen);
  const shared = plan.addresses.pod.map((ip): LabelledAddress => ({ ip, owner: "pod", source: "cni" }));
  const own = seen.agentAddresses.filter((ip) => isGlobalUnicast(ip) && !plan.addresses.pod.includes(ip));
  return [...shared, ...own.map((ip): LabelledAddress => ({ ip, owner: "guest", source: "guest-agent" }))];
}
