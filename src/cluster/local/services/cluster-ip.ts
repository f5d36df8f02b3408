/**
 * Addresses of Services, out of ranges that no link has. Pure: the store knows which are taken. An address is
 * derived from the Service's name, so that one made anew usually gets the one it had.
 */
import type { Service } from "../../../api/types.ts";
import {
  type Cidr,
  cidrContains,
  cidrNetwork,
  cidrPrefix,
  type Family,
  familyOf,
  type Ip,
  ipPlus,
  parseIp,
} from "../../../base/ip.ts";
import { hexHash } from "../../../base/names.ts";
import type { Problem } from "../../../base/problem.ts";
import { failed, ok, type Result } from "../../../base/result.ts";
import type { RangePair } from "../cni/pod-ranges.ts";

/** What is written into `spec`. `["None"]` for a headless Service. */
export interface ClusterIps {
  readonly clusterIPs: readonly string[];
  readonly ipFamilies: readonly ("IPv4" | "IPv6")[];
}

/** Left free for addresses that people give by hand (Kubernetes: "static band"). */
const STATIC_BAND = 16;
/** Large enough for one box; keeps the search short in a /112 too. */
const LARGEST_OFFSET = 60_000;

export function allocateClusterIps(
  service: Service,
  ranges: RangePair,
  taken: ReadonlySet<string>,
): Result<ClusterIps> {
  const { spec } = service;
  const wished = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  if (wished[0] === "None") return ok({ clusterIPs: ["None"], ipFamilies: spec.ipFamilies ?? ["IPv4"] });
  if (spec.type === "ExternalName") return ok({ clusterIPs: [], ipFamilies: [] });
  const families = familiesOf(service, wished, ranges);
  if (!families.ok) return families;
  const ips: string[] = [];
  for (const [index, family] of families.value.entries()) {
    const ip = chooseIp(service, family === 4 ? ranges.v4 : ranges.v6, taken, wished[index]);
    if (!ip.ok) return ip;
    ips.push(ip.value);
  }
  return ok({
    clusterIPs: ips,
    ipFamilies: families.value.map((family) => (family === 4 ? "IPv4" : "IPv6")),
  });
}

function familiesOf(
  { spec }: Service,
  wished: readonly string[],
  ranges: RangePair,
): Result<readonly Family[]> {
  const policy = spec.ipFamilyPolicy ?? (wished.length > 1 ? "RequireDualStack" : "SingleStack");
  const named = spec.ipFamilies?.map((name): Family => (name === "IPv6" ? 6 : 4));
  const first = named?.[0] ?? (wished[0]?.includes(":") ? 6 : 4);
  const second = first === 4 ? 6 : 4;
  const has = (family: Family) => family === 4 || ranges.v6 !== undefined;
  if (!has(first) || (policy === "RequireDualStack" && !has(second))) {
    return failed(
      problem("spec.ipFamilies", "FieldValueInvalid", "this host has no IPv6: a Service here is IPv4 only"),
    );
  }
  const both = policy === "RequireDualStack" || (policy === "PreferDualStack" && has(second));
  return ok(both ? [first, second] : [first]);
}

function chooseIp(
  service: Service,
  range: Cidr | undefined,
  taken: ReadonlySet<string>,
  wished?: string,
): Result<Ip> {
  if (range === undefined)
    return failed(problem("spec.ipFamilies", "FieldValueInvalid", "no range of that family"));
  if (wished) return checkWished(wished, range, taken);
  const size = Math.min(2 ** (bitsOf(range) - cidrPrefix(range)) - 1, LARGEST_OFFSET);
  const room = size - STATIC_BAND;
  const { namespace = "default", name } = service.metadata;
  const start = Number.parseInt(hexHash(`${namespace}/${name}`).slice(0, 8), 16) % room;
  for (let tried = 0; tried < room; tried++) {
    const ip = ipPlus(cidrNetwork(range), STATIC_BAND + ((start + tried) % room));
    if (!taken.has(ip)) return ok(ip);
  }
  return failed(problem("spec.clusterIP", "FieldValueInvalid", `range ${range} is full`));
}

function checkWished(text: string, range: Cidr, taken: ReadonlySet<string>): Result<Ip> {
  const ip = parseIp(text);
  if (ip === undefined || familyOf(ip) !== familyOf(range) || !cidrContains(range, ip)) {
    const message = `provided IP ${text} is not in the valid range ${range}`;
    return failed(problem("spec.clusterIPs", "FieldValueInvalid", message));
  }
  if (!taken.has(ip)) return ok(ip);
  return failed(problem("spec.clusterIPs", "FieldValueInvalid", `provided IP ${text} is already allocated`));
}

function bitsOf(range: Cidr): number {
  return familyOf(range) === 4 ? 32 : 128;
}

function problem(field: string, reason: Problem["reason"], message: string): Problem {
  return { code: "PT-SERVICE-1", severity: "error", reason, field, message };
}
