/** Nameservers and search list as the two IPv6 protocols carry them, bounded so that an answer is one packet. */
import { type Ip, ipToBytes } from "../base/ip.ts";
import { encodeDnsName } from "../wire/dns-names.ts";
import { servedSearchDomains } from "./search-domains.ts";

/** Leaves the rest of the least IPv6 MTU to everything else. */
const BYTES_MAX = 600;

export interface DnsLists {
  /** 16 bytes each. */
  readonly nameservers: readonly Uint8Array[];
  /** In wire form. */
  readonly searchDomains: readonly Uint8Array[];
  readonly notes: readonly string[];
}

export function dnsLists(nameservers: readonly Ip[], searchDomains: readonly string[]): DnsLists {
  const search = servedSearchDomains(searchDomains);
  const addresses = nameservers.map(ipToBytes).filter((bytes) => bytes.length === 16);
  const names = search.served.flatMap((domain) => encodeDnsName(domain) ?? []);
  const keptAddresses = first(addresses, BYTES_MAX / 2);
  const keptNames = first(names, BYTES_MAX - 16 * keptAddresses.length);
  const left = addresses.length - keptAddresses.length + names.length - keptNames.length;
  return {
    nameservers: keptAddresses,
    searchDomains: keptNames,
    notes: [
      ...search.notes,
      ...(left > 0 ? [`${left} nameservers or search domains do not fit into an IPv6 packet`] : []),
    ],
  };
}

/** The first ones that have room together. */
function first(values: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  return values.filter((value) => {
    left -= value.length;
    return left >= 0;
  });
}
