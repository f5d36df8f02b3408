/**
 * Which addresses pods and Services get: ranges that nothing on the host uses or routes to. Pure.
 *
 * Theory of operation. Candidates in a fixed order; the first that overlaps nothing in use is taken. IPv6 ranges are
 * parts of a unique local /48 (RFC 4193) made from the machine id, so that two boxes have different ones. What was
 * chosen is stored and kept: it changes only when it has come to clash and no pod runs.
 */
import { PodtapError } from "../../../base/errors.ts";
import {
  type Cidr,
  cidrNetwork,
  cidrPrefix,
  cidrsOverlap,
  familyOf,
  type Ip,
  ipFromBytes,
  toCidr,
} from "../../../base/ip.ts";
import { hexHash } from "../../../base/names.ts";
import type { ObservedLink, ObservedRoute } from "../../../plan/observed.ts";

export interface RangePair {
  readonly v4: Cidr;
  /** Absent where the host has no IPv6. */
  readonly v6?: Cidr;
}

export interface NetworkRanges {
  readonly pods: RangePair;
  readonly services: RangePair;
}

export interface HostFacts {
  /** /etc/machine-id, or whatever else stays the same. */
  readonly machineId: string;
  readonly links: readonly ObservedLink[];
  readonly routes: readonly ObservedRoute[];
  /** Resolvers and the like: reached by the default route, and not to be hidden by a range. */
  readonly neededAddresses: readonly Ip[];
  readonly ipv6: boolean;
  /** Our own bridge, whose addresses and routes do not count. */
  readonly bridge: string;
}

const POD_PREFIX = 20;
const SERVICE_PREFIX = 20;
/** Guests of masquerade are there by default, in every pod. */
const RESERVED = ["10.0.2.0/24", "fd10:0:2::/120"] as Cidr[];
/** A VPN's pair of /1 routes is a default route in two halves. */
const WIDEST_ROUTE = 4;

export interface Choice {
  readonly ranges: NetworkRanges;
  readonly changed: boolean;
  /** The stored ranges clash, and pods keep them from being changed. */
  readonly clash?: string;
}

/** @param podsRunning whether anything has an address of the stored ranges */
export function chooseRanges(
  stored: NetworkRanges | undefined,
  podsRunning: boolean,
  host: HostFacts,
): Choice {
  if (stored === undefined) return { ranges: findRanges(host), changed: true };
  const clash = findClash(stored, host);
  const lacksV6 = host.ipv6 !== (stored.pods.v6 !== undefined);
  if (clash === undefined && !lacksV6) return { ranges: stored, changed: false };
  if (!podsRunning) return { ranges: findRanges(host), changed: true };
  return { ranges: stored, changed: false, ...(clash !== undefined && { clash }) };
}

export function findRanges(host: HostFacts): NetworkRanges {
  const used = inUse(host);
  const pods = firstFree(podCandidates(), used);
  const services = firstFree(serviceCandidates(), [...used, pods]);
  if (!host.ipv6) return { pods: { v4: pods }, services: { v4: services } };
  const podsV6 = firstFree(ulaCandidates(host.machineId, "pods", 64), used);
  const servicesV6 = firstFree(ulaCandidates(host.machineId, "services", 112), [...used, podsV6]);
  return { pods: { v4: pods, v6: podsV6 }, services: { v4: services, v6: servicesV6 } };
}

function findClash({ pods, services }: NetworkRanges, host: HostFacts): string | undefined {
  const used = inUse(host);
  for (const range of [pods.v4, pods.v6, services.v4, services.v6]) {
    const other = range === undefined ? undefined : used.find((one) => cidrsOverlap(one, range));
    if (other !== undefined) return `${range} overlaps ${other}, which the host uses`;
  }
  return undefined;
}

function inUse({ links, routes, neededAddresses, bridge }: HostFacts): readonly Cidr[] {
  const networks = [
    ...links.filter((link) => link.name !== bridge).flatMap((link) => link.addresses),
    ...routes.filter((route) => route.link !== bridge).map((route) => route.destination),
  ].filter((cidr) => cidrPrefix(cidr) >= WIDEST_ROUTE);
  const hosts = neededAddresses.map((ip) => toCidr(ip, familyOf(ip) === 4 ? 32 : 128));
  return [...RESERVED, ...networks.map((cidr) => toCidr(cidrNetwork(cidr), cidrPrefix(cidr))), ...hosts];
}

function firstFree(candidates: readonly Cidr[], used: readonly Cidr[]): Cidr {
  const free = candidates.find((candidate) => !used.some((one) => cidrsOverlap(one, candidate)));
  if (free !== undefined) return free;
  throw new PodtapError({
    code: "PT-CNI-10",
    message: `every range that podtap could give to pods overlaps something: ${candidates[0]} to ${candidates.at(-1)}`,
    hint: "give podtap a network of your own: cniConfDir in its configuration",
    retry: "on-change",
  });
}

function podCandidates(): readonly Cidr[] {
  return [
    ...count(88, 95).map((n) => toCidr(`10.${n}.0.0` as Ip, POD_PREFIX)),
    ...count(16, 31).map((n) => toCidr(`172.${n}.128.0` as Ip, POD_PREFIX)),
    ...count(208, 255).map((n) => toCidr(`10.${n}.128.0` as Ip, POD_PREFIX)),
    ...count(0, 15).map((n) => toCidr(`192.168.${n * 16}.0` as Ip, POD_PREFIX)),
  ];
}

function serviceCandidates(): readonly Cidr[] {
  return [
    ...count(96, 111).map((n) => toCidr(`10.${n}.0.0` as Ip, SERVICE_PREFIX)),
    ...count(16, 31).map((n) => toCidr(`172.${n}.96.0` as Ip, SERVICE_PREFIX)),
    ...count(208, 255).map((n) => toCidr(`10.${n}.96.0` as Ip, SERVICE_PREFIX)),
  ];
}

function ulaCandidates(machineId: string, purpose: "pods" | "services", prefix: number): readonly Cidr[] {
  return count(0, 15).map((n) => {
    // The id is not to be told to others (machine-id(5)), so its digest is used, with a salt.
    const digest = hexHash(`podtap ${n} ${machineId}`);
    const globalId = [0, 2, 4, 6, 8].map((at) => Number.parseInt(digest.slice(at, at + 2), 16));
    const subnet = purpose === "pods" ? 1 : 2;
    return toCidr(
      ipFromBytes(Uint8Array.from([0xfd, ...globalId, 0, subnet, 0, 0, 0, 0, 0, 0, 0, 0])),
      prefix,
    );
  });
}

function count(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
