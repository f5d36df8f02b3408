/**
 * slirp: QEMU's own user network, a TCP/IP stack inside QEMU that makes sockets of the guest's packets.
 *
 *   guest 10.0.2.15 ── QEMU ( libslirp 10.0.2.2, resolver 10.0.2.3 ) ──( sockets )── eth0, the pod's address
 *
 * KubeVirt dropped it in v1.3; it is kept for manifests that still ask for it. Declared ports are forwarded one by
 * one; what is not declared is closed. Slower than passt, no inbound IPv6, and the guest reaches the pod's own
 * loopback at 10.0.2.2, which QEMU offers no way to close.
 */
import {
  type Cidr,
  cidrIp,
  cidrNetwork,
  cidrPrefix,
  type Family,
  familyOf,
  ipPlus,
  isGlobalUnicast,
  parseCidr,
  toCidr,
} from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { BuiltinNetdev } from "../../domain/interface.ts";
import type { Binding, NicContext } from "../../plan/binding.ts";
import { missingFamilies, noPodAddress, reportBehindPod } from "../../plan/parts/behind-pod.ts";
import { domainNic } from "../../plan/parts/domain-interface.ts";
import { guestMac } from "../../plan/parts/guest-mac.ts";
import { openPorts } from "../../plan/parts/inbound.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import { searchDomainsFor } from "../../plan/parts/search-domains.ts";
import type { NicPlan } from "../../plan/plan.ts";

const DEFAULT_IPV4 = "10.0.2.0/24" as Cidr;
/** SLAAC takes a /64 and nothing else (RFC 4862, 5.5.3). */
const DEFAULT_IPV6 = "fd10:0:2::/64" as Cidr;
/** Room for QEMU's usual places: network + 2, + 3 and + 15. */
const LONGEST_IPV4_PREFIX = 27;
/** libslirp's IF_MTU_DEFAULT; QEMU lets nobody change it. */
const MTU = 1500;

export const slirp: Binding = {
  bindingName: "slirp",
  spelling: { binding: { name: "slirp" } },
  traits: {
    podAddress: "natted",
    guestAddressing: "podtap",
    attaches: "user-network",
    networks: "pod",
    liveMigration: "no",
    hotplug: false,
    ports: "allow-list",
    path: "user-space",
    layer2: false,
    podStack: true,
    ipv4Inbound: true,
    // Its guests reach the loopback of whoever runs QEMU: a pod's is empty, the host's is not.
    rootless: false,
  },
  lacking: ({ builtinUserNetwork }) =>
    builtinUserNetwork ? undefined : "this QEMU was built without its user network (libslirp)",
  validate: () => [],
  podNeeds: () => ({ memoryMiB: 0 }),
  plan: planSlirp,
  report: reportBehindPod,
};

function planSlirp(nic: NicContext): Result<NicPlan> {
  if (!nic.vm.features.builtinUserNetwork) return failed(notBuilt(nic));
  const ipv4 = network(nic, 4);
  const ipv6 = network(nic, 6);
  const problems = [ipv4, ipv6].filter((one) => isProblem(one));
  if (problems.length > 0) return failed(...problems);
  const pod = ([4, 6] as const).flatMap((family) => podAddress(nic, family) ?? []);
  if (pod.length === 0) return failed(noPodAddress(nic, "hide behind"));
  const own = guestMac(nic);
  const netdev = netdevOf(nic, isProblem(ipv4) ? undefined : ipv4, isProblem(ipv6) ? undefined : ipv6);
  return ok({
    name: nic.interface.name,
    bindingName: slirp.bindingName,
    podInterface: nic.names.podInterface,
    addresses: { pod, guest: netdev.ipv4 ? [netdev.ipv4.guest] : [] },
    ...own,
    links: [],
    sysctls: [
      { key: "net/ipv4/ping_group_range", value: `${nic.vm.runtimeUid} ${nic.vm.runtimeUid}` },
      { key: "net/ipv4/ip_unprivileged_port_start", value: "0" },
    ],
    nft: [],
    services: [],
    domain: { type: "user", netdev, ...domainNic(nic, own.mac, Math.min(MTU, pathMtu(nic))) },
    guestLink: nic.names.podInterface,
    notes: notes(nic, netdev),
  });
}

function netdevOf(nic: NicContext, ipv4: Cidr | undefined, ipv6: Cidr | undefined): BuiltinNetdev {
  const { ports } = openPorts(nic);
  const single = ports === "all" ? [] : ports;
  const at = (cidr: Cidr, offset: number) => ipPlus(cidrNetwork(cidr), offset);
  return {
    type: "builtin",
    ...(ipv4 && { ipv4: { network: ipv4, host: at(ipv4, 2), guest: at(ipv4, 15), dns: at(ipv4, 3) } }),
    ...(ipv6 && { ipv6: { network: ipv6, host: at(ipv6, 2), dns: at(ipv6, 3) } }),
    hostname: nic.vm.hostname,
    searchDomains: searchDomainsFor(nic.resolver.searchDomains, nic.vm.subdomain),
    forwards: single.flatMap(({ protocol, start, end }) =>
      Array.from({ length: end - start + 1 }, (_, i) => ({ protocol, port: start + i })),
    ),
  };
}

/** The guest's own network of a family; undefined where the pod has none of it. */
function network(nic: NicContext, family: Family): Cidr | Problem | undefined {
  if (podAddress(nic, family) === undefined) return undefined;
  const key = family === 4 ? "vmNetworkCIDR" : "vmIPv6NetworkCIDR";
  const text = nic.network.pod?.[key];
  const wanted = text === undefined ? (family === 4 ? DEFAULT_IPV4 : DEFAULT_IPV6) : parseCidr(text);
  const fits = (cidr: Cidr) =>
    familyOf(cidr) === family &&
    (family === 4 ? cidrPrefix(cidr) <= LONGEST_IPV4_PREFIX : cidrPrefix(cidr) === 64);
  if (wanted !== undefined && fits(wanted)) return toCidr(cidrNetwork(wanted), cidrPrefix(wanted));
  return {
    code: "PT-PLAN-1",
    severity: "error",
    reason: "FieldValueInvalid",
    field: `${nic.networkField}.pod.${key}`,
    message: `QEMU's user network cannot be ${text}`,
    hint: family === 4 ? `take /${LONGEST_IPV4_PREFIX} or larger` : "take a /64",
  };
}

function podAddress(nic: NicContext, family: Family) {
  const ips = nic.podLink.addresses.map(cidrIp);
  return ips.find((ip) => familyOf(ip) === family && isGlobalUnicast(ip));
}

function isProblem(one: Cidr | Problem | undefined): one is Problem {
  return typeof one === "object";
}

function notes(nic: NicContext, { ipv4, ipv6, forwards }: BuiltinNetdev): readonly string[] {
  const text = [
    "slirp is kept for old manifests; `passtBinding: {}` does the same faster and with IPv6 inbound",
  ];
  text.push(...missingFamilies(nic, { ipv4, ipv6 }));
  if (openPorts(nic).ports === "all") text.push("nothing is forwarded: slirp forwards declared ports only");
  else if (forwards.length > 0) text.push("inbound by IPv4 only: QEMU forwards no IPv6");
  if (pathMtu(nic) > MTU) text.push(`MTU ${MTU}: slirp has no other`);
  if (ipv4 !== undefined) text.push(`the guest reaches the pod's own loopback at ${ipv4.host}`);
  return text;
}

function notBuilt(nic: NicContext): Problem {
  return {
    code: "PT-SLIRP-1",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: nic.field,
    message: `interface ${nic.interface.name} needs QEMU's user network, which this QEMU was built without`,
    hint: "take `passtBinding: {}` or `masquerade: {}`",
  };
}
