/**
 * The pod's resolver: what goes into its resolv.conf and, through the plan, to the guest. `ClusterFirst` means the
 * host's resolver while the local cluster has none of its own.
 */
import type { VmiSpec } from "../../../api/types.ts";
import { type Ip, isLoopback, parseIp } from "../../../base/ip.ts";
import type { Resolver } from "../../../plan/binding.ts";

/** Kubernetes' limits for a pod (`pkg/apis/core/validation`). */
const NAMESERVERS_MAX = 3;
const SEARCH_MAX = 32;

/** Reads resolv.conf as glibc does: unknown lines and zone ids are passed over, the last `search` line counts. */
export function parseResolvConf(text: string): Resolver {
  const lines = text.split("\n").map((line) =>
    line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/),
  );
  const search =
    lines
      .filter(([key]) => key === "search" || key === "domain")
      .at(-1)
      ?.slice(1) ?? [];
  return {
    nameservers: lines.filter(([key]) => key === "nameserver").flatMap(([, ip]) => parseIp(ip ?? "") ?? []),
    searchDomains: search
      .filter((domain) => domain !== ".")
      .map((domain) => domain.toLowerCase().replace(/\.$/, "")),
  };
}

/**
 * The host's resolver as pods can use it: a stub on the host's loopback is not there in a pod's namespace.
 * @param upstream the file behind the stub (systemd-resolved: /run/systemd/resolve/resolv.conf), where there is one
 */
export function hostResolver(resolvConf: string, upstream: string | undefined): Resolver {
  const own = parseResolvConf(resolvConf);
  const usable = own.nameservers.filter((ip) => !isLoopback(ip));
  if (usable.length > 0 || upstream === undefined) return { ...own, nameservers: usable };
  const behind = parseResolvConf(upstream);
  return { ...behind, nameservers: behind.nameservers.filter((ip) => !isLoopback(ip)) };
}

export function podResolver(spec: Pick<VmiSpec, "dnsPolicy" | "dnsConfig">, host: Resolver): Resolver {
  const base: Resolver = spec.dnsPolicy === "None" ? { nameservers: [], searchDomains: [] } : host;
  const own = (spec.dnsConfig?.nameservers ?? []).flatMap((text): readonly Ip[] => {
    const ip = parseIp(text);
    return ip === undefined ? [] : [ip];
  });
  return {
    nameservers: unique([...base.nameservers, ...own]).slice(0, NAMESERVERS_MAX),
    searchDomains: unique([...base.searchDomains, ...(spec.dnsConfig?.searches ?? [])]).slice(0, SEARCH_MAX),
  };
}

export function renderResolvConf(resolver: Resolver): string {
  return [
    ...resolver.nameservers.map((ip) => `nameserver ${ip}\n`),
    ...(resolver.searchDomains.length > 0 ? [`search ${resolver.searchDomains.join(" ")}\n`] : []),
  ].join("");
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}
