/**
 * Which search domains are served. One bad word in a node's resolv.conf must not cost the guest its network
 * (kubevirt/kubevirt#4541, #12615): what is no domain is left out and reported, the rest is served.
 */
import { encodeDnsName } from "../wire/dns-names.ts";

export interface SearchDomains {
  /** Lower case, without a final dot, in the given order, each once. */
  readonly served: readonly string[];
  readonly notes: readonly string[];
}

/** KubeVirt's rule (`pkg/network/dhcp/server/server.go`): the last label must begin with a letter: no IP address. */
const DOMAIN = /^(?:[_a-z0-9](?:[-_a-z0-9]*[_a-z0-9])?\.)*[a-z](?:[-_a-z0-9]*[_a-z0-9])?$/;

export function servedSearchDomains(domains: readonly string[]): SearchDomains {
  const names = domains.map((domain) => domain.toLowerCase().replace(/\.$/, ""));
  const isDomain = (name: string) =>
    name.length <= 253 && DOMAIN.test(name) && encodeDnsName(name) !== undefined;
  return {
    served: [...new Set(names.filter(isDomain))],
    notes: domains
      .filter((_, i) => !isDomain(names[i] ?? ""))
      .map((domain) => `search domain ${JSON.stringify(domain)} is not a domain name and is not served`),
  };
}

/** What goes where only one domain fits (DHCPv4 option 15): the longest, the first one of equals, as KubeVirt. */
export function longestDomain(domains: readonly string[]): string | undefined {
  return domains.reduce<string | undefined>(
    (best, domain) => (best === undefined || domain.length > best.length ? domain : best),
    undefined,
  );
}
