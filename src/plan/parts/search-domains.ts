/** Search domains for the guest, with KubeVirt's subdomain rule (`pkg/network/dns/resolveconf.go`). */

/** With a subdomain, `<subdomain>.<longest search domain that contains .svc.>` goes first. */
export function searchDomainsFor(
  searchDomains: readonly string[],
  subdomain: string | undefined,
): readonly string[] {
  if (subdomain === undefined || subdomain === "") return searchDomains;
  const services = longest(searchDomains.filter((domain) => domain.includes(".svc.")));
  if (services === undefined || services.startsWith(`${subdomain}.`)) return searchDomains;
  return [`${subdomain}.${services}`, ...searchDomains];
}

function longest(domains: readonly string[]): string | undefined {
  return domains.reduce<string | undefined>(
    (best, domain) => (best === undefined || domain.length > best.length ? domain : best),
    undefined,
  );
}
