/**
 * The configuration of whereabouts, an IPAM that keeps a cluster's addresses in its API, as host-local has it, which
 * keeps those of one machine (https://github.com/k8snetworkplumbingwg/whereabouts, doc/extended-configuration.md).
 */
import { type Cidr, cidrNetwork, cidrPrefix, type Ip, parseCidr, parseIp, toCidr } from "../../../base/ip.ts";

type Json = Readonly<Record<string, unknown>>;

interface Range {
  readonly subnet: Cidr;
  readonly rangeStart?: Ip;
  readonly rangeEnd?: Ip;
  readonly gateway?: Ip;
}

/** Undefined for what host-local cannot do: leaving out addresses in the midst, or a range that is none. */
export function asHostLocal(ipam: Json): Json | undefined {
  const listed = Array.isArray(ipam["ipRanges"]) ? (ipam["ipRanges"] as readonly unknown[]) : [];
  const written = [...(ipam["range"] === undefined ? [] : [ipam]), ...listed];
  const ranges = written.map((one) => (isJson(one) ? rangeOf(one, ipam) : undefined));
  const whole = ranges.filter((range) => range !== undefined);
  if (whole.length === 0 || whole.length < ranges.length) return undefined;
  return {
    type: "host-local",
    // A set each: host-local gives an address of every set, as whereabouts does of every range.
    ranges: whole.map((range) => [range]),
    ...(ipam["routes"] !== undefined && { routes: ipam["routes"] }),
  };
}

function rangeOf(one: Json, whole: Json): Range | undefined {
  const exclude = one["exclude"] ?? [];
  if (!Array.isArray(exclude) || exclude.length > 0) return undefined;
  // `192.168.2.10-192.168.2.20/24` has the ends in front.
  const [, from, to, rest] = /^(?:([^-/]+)-)?([^-/]+)(\/\d+)$/.exec(String(one["range"])) ?? [];
  const cidr = to === undefined ? undefined : parseCidr(`${to}${rest}`);
  if (cidr === undefined) return undefined;
  const start = ipOf(one["range_start"]) ?? ipOf(from);
  const end = ipOf(one["range_end"]) ?? (from === undefined ? undefined : ipOf(to));
  const gateway = ipOf(one["gateway"] ?? whole["gateway"]);
  return {
    subnet: toCidr(cidrNetwork(cidr), cidrPrefix(cidr)),
    ...(start !== undefined && { rangeStart: start }),
    ...(end !== undefined && { rangeEnd: end }),
    ...(gateway !== undefined && { gateway }),
  };
}

function ipOf(value: unknown): Ip | undefined {
  return typeof value === "string" ? parseIp(value) : undefined;
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
