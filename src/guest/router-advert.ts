/**
 * Router advertisements for one guest (RFC 4861, 6.2, and RFC 8106): the default route, prefixes, MTU, DNS, and the
 * word to use DHCPv6. DHCPv6 itself has no router option, so without these a guest has an address and no way out.
 *
 * Theory of operation. A solicitation from an address is answered to that address at once: the random delay of the
 * RFC keeps several routers apart, and here is one. A solicitation from the unspecified address (a guest that has
 * none yet) is answered to all nodes at once as well, but at most every 3 seconds (6.2.6); one that comes sooner is
 * answered when those are over. `tick` sends that and the periodic advertisements: three at most 16 seconds apart,
 * then one each interval (6.2.4). Time is what callers pass in.
 */
import { cidrNetwork, cidrPrefix, ipToBytes } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import { decodeEthernet, ETHERTYPE_IPV6, etherTypeOf, multicastMac6 } from "../wire/ethernet.ts";
import {
  checkIcmp6,
  decodeRouterSolicit,
  encodeIcmp6Frame,
  encodeRouterAdvert,
  ND_HOP_LIMIT,
  ROUTER_SOLICIT,
} from "../wire/icmpv6.ts";
import { ALL_NODES, decodeIpv6, isUnspecified, NEXT_HEADER_ICMPV6 } from "../wire/ipv6.ts";
import type { RouterAdvertConfig } from "./config.ts";
import { type DnsLists, dnsLists } from "./dns-lists.ts";
import { type Refusal, type Responder, refuse } from "./responder.ts";

/** MIN_DELAY_BETWEEN_RAS, MAX_INITIAL_RTR_ADVERTISEMENTS and MAX_INITIAL_RTR_ADVERT_INTERVAL (10). */
const MIN_DELAY_MS = 3000;
const INITIAL_COUNT = 3;
const INITIAL_INTERVAL_MS = 16_000;
/** AdvValidLifetime and AdvPreferredLifetime, their defaults (6.2.1). */
const VALID_SECONDS = 2_592_000;
const PREFERRED_SECONDS = 604_800;
/** What the guest puts into its packets' hop limit. */
const HOP_LIMIT = 64;
interface Solicitation {
  readonly mac: Uint8Array;
  /** 16 bytes, possibly unspecified. */
  readonly source: Uint8Array;
}

export function routerAdvertResponder(config: RouterAdvertConfig): Responder {
  const lists = dnsLists(config.nameservers, config.searchDomains);
  const message = advertisement(config, lists);
  const sourceMac = macToBytes(config.routerMac);
  const source = ipToBytes(config.routerLinkLocal);
  const toAll = encodeIcmp6Frame(
    { sourceMac, destinationMac: multicastMac6(ALL_NODES), source, destination: ALL_NODES },
    message,
  );
  const intervalMs = config.intervalSeconds * 1000;
  let sent = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  let nextMs = Number.NEGATIVE_INFINITY;

  function sendToAll(nowMs: number): readonly Uint8Array[] {
    sent += 1;
    lastMs = nowMs;
    nextMs = nowMs + (sent < INITIAL_COUNT ? Math.min(INITIAL_INTERVAL_MS, intervalMs) : intervalMs);
    return [toAll];
  }

  return {
    type: "router-advert",
    notes: lists.notes,
    answer(frame, nowMs) {
      const solicitation = readSolicitation(frame);
      if (solicitation === undefined) return undefined;
      if (typeof solicitation === "string") return refuse(solicitation);
      if (!isUnspecified(solicitation.source)) {
        const envelope = {
          sourceMac,
          destinationMac: solicitation.mac,
          source,
          destination: solicitation.source,
        };
        return { frames: [encodeIcmp6Frame(envelope, message)] };
      }
      const earliest = lastMs + MIN_DELAY_MS;
      if (nowMs >= earliest) return { frames: sendToAll(nowMs) };
      nextMs = Math.min(nextMs, earliest);
      return refuse("no-answer-due");
    },
    tick: (nowMs) => ({ frames: nowMs >= nextMs ? sendToAll(nowMs) : [], nextMs }),
  };
}

/** Undefined for what is no router solicitation; what makes one valid is RFC 4861, 6.1.1. */
function readSolicitation(frame: Uint8Array): Solicitation | Refusal | undefined {
  if (etherTypeOf(frame) !== ETHERTYPE_IPV6) return undefined;
  const ethernet = decodeEthernet(frame);
  if (typeof ethernet === "string") return ethernet;
  const ip = decodeIpv6(ethernet.payload);
  if (typeof ip === "string") return ip;
  if (ip.nextHeader !== NEXT_HEADER_ICMPV6 || ip.payload[0] !== ROUTER_SOLICIT) return undefined;
  if (ip.hopLimit !== ND_HOP_LIMIT) return "bad-header";
  const malformed = checkIcmp6(ethernet.payload, ip.payload);
  if (malformed !== undefined) return malformed;
  const solicit = decodeRouterSolicit(ip.payload);
  if (typeof solicit === "string") return solicit;
  if (solicit.sourceMac !== undefined && isUnspecified(ip.source)) return "forbidden-option";
  return { mac: ethernet.source, source: ip.source };
}

function advertisement(config: RouterAdvertConfig, { nameservers, searchDomains }: DnsLists): Uint8Array {
  return encodeRouterAdvert({
    hopLimit: HOP_LIMIT,
    managed: config.managed,
    otherConfig: config.otherConfig,
    routerLifetimeSeconds: Math.min(config.routerLifetimeSeconds, 0xffff),
    ...(!config.withoutMac && { sourceMac: macToBytes(config.routerMac) }),
    mtu: config.mtu,
    prefixes: config.prefixes.map(({ prefix, onLink, autonomous }) => ({
      prefix: ipToBytes(cidrNetwork(prefix)),
      length: cidrPrefix(prefix),
      onLink,
      autonomous,
      validSeconds: VALID_SECONDS,
      preferredSeconds: PREFERRED_SECONDS,
    })),
    nameservers,
    searchDomains,
    // Not shorter than the router itself: a guest that was paused must not wake up without DNS (RFC 8106, 5.1).
    dnsSeconds: Math.max(config.routerLifetimeSeconds, 3 * config.intervalSeconds),
  });
}
