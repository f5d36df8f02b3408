/**
 * The host's own nftables: Services, the way out for pods, and the wall between guests and the host. Pure; one
 * table a family, `ip podtap` and `ip6 podtap`, replaced as a whole in one transaction.
 *
 * Theory of operation.
 *
 *   pod ──► prerouting: (daddr, protocol, port) in @services? ──► goto svc-… : dnat to one of its endpoints
 *   host ─► output:     the same
 *                │
 *                ├─ filter-…: still addressed to a Service → it has no endpoint → reject
 *                ▼
 *           postrouting: pod to pod by a Service → masquerade    (1)
 *                        pod to anywhere else    → masquerade    (2)
 *
 *   pod ──► input of the host: dropped and counted                (3)
 *
 * One map lookup finds a Service, however many there are; netfilter asks for the first packet of a connection only.
 *
 * (1) Both pods are on one bridge: the answer would go straight to the asker, from an address it never asked. So the
 * asker's address is the bridge's, the answer comes back to the host, and conntrack undoes both. It covers a pod
 * that reaches itself, and holds with br_netfilter and without.
 * (2) Only for ranges of podtap's own network; other CNI networks have their own way out.
 * (3) Guests share the host's kernel as neighbours, not as users. ICMP and answers pass; router advertisements and
 * redirects do not: a pod must not change the host's routes. Matched are the bridge and the pods' addresses, so
 * that nobody else's traffic, DHCP for one, meets these rules.
 *
 * Within these tables pods are forwarded. Another table's drop still wins (Docker, ufw): an accept ends only the
 * table it is in.
 */
import {
  type Cidr,
  cidrContains,
  cidrNetwork,
  cidrPrefix,
  type Family,
  familyOf,
  type Ip,
  toCidr,
} from "../../../base/ip.ts";
import { hexHash, isLinkName } from "../../../base/names.ts";
import type { NftChain, NftSet, NftTable, NftTableId } from "../../../nft/model.ts";
import { backendsOfFamily, type EndpointPort, type ServiceEndpoints } from "./service-endpoints.ts";

export interface HostPorts {
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
}

export interface HostTablesInput {
  readonly services: readonly ServiceEndpoints[];
  /** Ranges that ClusterIPs come from: what has no rule in them is rejected. */
  readonly serviceRanges: readonly Cidr[];
  /** podtap's own pod network. */
  readonly podRanges: readonly Cidr[];
  /** Its bridge; absent when pods use other CNI networks. */
  readonly bridge?: string;
  /** Addresses of all pods, whatever network they are on. */
  readonly podAddresses: readonly Ip[];
  /** Of the host's own services those that pods may use: a resolver, an image mirror. */
  readonly hostPorts: readonly HostPorts[];
}

export const HOST_TABLES: readonly NftTableId[] = [
  { family: "ip", name: "podtap" },
  { family: "ip6", name: "podtap" },
];
/** Names of counters, for status and doctor. */
export const DROPPED_TO_HOST = "pods-to-host";
export const REJECTED_NO_ENDPOINT = "services-without-endpoint";

interface FamilyWords {
  readonly family: "ip" | "ip6";
  readonly number: Family;
  readonly address: "ipv4_addr" | "ipv6_addr";
  readonly multicast: string;
  /** For nft: an address with a port behind it. */
  withPort(ip: Ip, port: number): string;
  /** With which a neighbour would steer the host. */
  readonly steering: string;
  readonly redirect: string;
  readonly icmp: string;
}

const FAMILIES: readonly FamilyWords[] = [
  {
    family: "ip",
    number: 4,
    address: "ipv4_addr",
    multicast: "224.0.0.0/4",
    withPort: (ip, port) => `${ip}:${port}`,
    steering: "icmp type redirect",
    redirect: "icmp type redirect",
    icmp: "meta l4proto icmp",
  },
  {
    family: "ip6",
    number: 6,
    address: "ipv6_addr",
    multicast: "ff00::/8",
    withPort: (ip, port) => `[${ip}]:${port}`,
    steering: "icmpv6 type { nd-router-advert, nd-redirect }",
    redirect: "icmpv6 type nd-redirect",
    icmp: "meta l4proto ipv6-icmp",
  },
];

export function hostTables(input: HostTablesInput): readonly NftTable[] {
  if (input.bridge !== undefined && !isLinkName(input.bridge)) {
    throw new RangeError(`not a link name: ${JSON.stringify(input.bridge)}`);
  }
  return FAMILIES.map((words) => familyTable(words, input));
}

interface Rule {
  readonly chain: string;
  readonly key: string;
  readonly rule: string;
}

function familyTable(words: FamilyWords, input: HostTablesInput): NftTable {
  const ofFamily = <T extends Cidr | Ip>(list: readonly T[]) =>
    list.filter((one) => familyOf(one) === words.number);
  const ranges = ofFamily(input.podRanges).map(networkOf);
  const rules = serviceRules(words, input.services);
  return {
    family: words.family,
    name: "podtap",
    counters: [{ name: DROPPED_TO_HOST }, { name: REJECTED_NO_ENDPOINT }],
    sets: [
      {
        name: "services",
        key: `${words.address} . inet_proto . inet_service`,
        to: "verdict",
        elements: rules.map(({ key, chain }) => ({ key, value: `goto ${chain}` })),
      },
      addressSet("own-pods", words, ranges),
      addressSet("pods", words, [...ranges, ...outside(ofFamily(input.podAddresses), ranges)]),
      {
        name: "host-ports",
        key: "inet_proto . inet_service",
        elements: input.hostPorts.map(({ protocol, port }) => ({
          key: `${protocol.toLowerCase()} . ${port}`,
        })),
      },
    ],
    chains: [
      ...rules.map(({ chain, rule }) => ({ name: chain, rules: [rule] })),
      ...natChains(words),
      ...filterChains(words, input.bridge, ofFamily(input.serviceRanges).map(networkOf)),
    ],
  };
}

function natChains({ family, multicast }: FamilyWords): readonly NftChain[] {
  const lookUp = `${family} daddr . meta l4proto . th dport vmap @services`;
  return [
    { name: "prerouting", hook: { type: "nat", hook: "prerouting", priority: -100 }, rules: [lookUp] },
    { name: "output", hook: { type: "nat", hook: "output", priority: -100 }, rules: [lookUp] },
    {
      name: "postrouting",
      hook: { type: "nat", hook: "postrouting", priority: 100 },
      rules: [
        `ct status dnat ${family} saddr @pods ${family} daddr @pods masquerade`,
        `${family} saddr @own-pods ${family} daddr != @pods ${family} daddr != ${multicast} masquerade`,
      ],
    },
  ];
}

function filterChains(
  words: FamilyWords,
  bridge: string | undefined,
  services: readonly Cidr[],
): readonly NftChain[] {
  const { family, steering, redirect, icmp } = words;
  const none = services.map((range) => `${family} daddr ${range} counter name ${REJECTED_NO_ENDPOINT}`);
  // ICMP errors are rationed for each peer (icmp_ratelimit), resets are not.
  const reject = [
    ...none.map((match) => `meta l4proto tcp ${match} reject with tcp reset`),
    ...none.map((match) => `${match} reject`),
  ];
  const onBridge = bridge === undefined ? [] : [`iifname "${bridge}" goto from-pods`];
  // Pod to Service to pod leaves by the link it came in: the host would tell the pod of a shorter way.
  const quiet = bridge === undefined ? [] : [`oifname "${bridge}" ${redirect} drop`];
  return [
    {
      name: "from-pods",
      rules: [
        `${steering} drop`,
        "ct state { established, related } accept",
        `${icmp} accept`,
        "meta l4proto . th dport @host-ports accept",
        `counter name ${DROPPED_TO_HOST} drop`,
      ],
    },
    {
      name: "input",
      hook: { type: "filter", hook: "input", priority: 0 },
      // The gateway's own address is in the pods' range.
      rules: ['iifname "lo" accept', ...onBridge, `${family} saddr @pods goto from-pods`],
    },
    // Before routing, or the kernel sends a redirect first, which counts against the ration.
    { name: "filter-prerouting", hook: { type: "filter", hook: "prerouting", priority: 0 }, rules: reject },
    {
      name: "filter-output",
      hook: { type: "filter", hook: "output", priority: 0 },
      rules: [...quiet, ...reject],
    },
  ];
}

function serviceRules(words: FamilyWords, services: readonly ServiceEndpoints[]): readonly Rule[] {
  const rules = new Map<string, Rule>();
  for (const service of services) {
    const ips = service.clusterIps.filter((ip) => familyOf(ip) === words.number);
    for (const [ip, port] of ips.flatMap((ip) => service.ports.map((port) => [ip, port] as const))) {
      const protocol = port.protocol.toLowerCase();
      const key = `${ip} . ${protocol} . ${port.port}`;
      const dnat = dnatRule(words, port);
      // A port named twice is refused by admission; a map would refuse the whole table.
      if (dnat === undefined || rules.has(key)) continue;
      rules.set(key, {
        chain: `svc-${hexHash(key).slice(0, 16)}`,
        key,
        rule: `meta l4proto ${protocol} ${dnat}`,
      });
    }
  }
  return [...rules.values()];
}

function dnatRule(words: FamilyWords, port: EndpointPort): string | undefined {
  const [first, ...more] = backendsOfFamily(port, words.number);
  if (first === undefined) return undefined;
  if (more.length === 0) return `dnat to ${words.withPort(first.ip, first.port)}`;
  const all = [first, ...more];
  const choices = all.map((backend, index) => `${index} : ${backend.ip} . ${backend.port}`);
  return `dnat to numgen random mod ${all.length} map { ${choices.join(", ")} }`;
}

function addressSet(name: string, { address }: FamilyWords, cidrs: readonly Cidr[]): NftSet {
  return { name, key: address, interval: true, elements: cidrs.map((cidr) => ({ key: cidr })) };
}

/** Interval sets refuse what overlaps. */
function outside(ips: readonly Ip[], ranges: readonly Cidr[]): readonly Cidr[] {
  return [...new Set(ips)]
    .filter((ip) => !ranges.some((range) => cidrContains(range, ip)))
    .map((ip) => toCidr(ip, familyOf(ip) === 4 ? 32 : 128));
}

function networkOf(cidr: Cidr): Cidr {
  return toCidr(cidrNetwork(cidr), cidrPrefix(cidr));
}
