/**
 * passt's command line, and what it means. Only options that the passt of March 2023 (Debian 12) and the newest
 * have in common, and everything said outright: what is not said passt reads from the pod, at every start anew.
 */
import { cidrIp, cidrPrefix } from "../../base/ip.ts";
import { BRIDGE_MAC, type Mac } from "../../base/mac.ts";
import type { PortForward, PortRange } from "../../domain/interface.ts";
import { searchDomainsFor } from "../../plan/parts/search-domains.ts";
import type { HostPorts } from "../../plan/plan.ts";
import type { PasstSettings } from "./settings.ts";

const NONE = "none";
const OTHER_MAC = "02:00:00:00:00:01" as Mac;

export function passtArguments(settings: PasstSettings, guest: Mac): readonly string[] {
  const { nic, ipv4, ipv6, mtu } = settings;
  const { nameservers, searchDomains } = resolverOf(settings);
  return [
    "--foreground",
    // Its one client is the launcher's carrier: without it there is no guest.
    "--one-off",
    ...["--socket", "{socket}"],
    ...["--interface", nic.vm.rootless?.link ?? nic.names.podInterface],
    ...(ipv6 === undefined ? ["--ipv4-only"] : ipv4 === undefined ? ["--ipv6-only"] : []),
    ...(ipv4 ? ["--address", cidrIp(ipv4.address), "--netmask", String(cidrPrefix(ipv4.address))] : []),
    ...(ipv6 ? ["--address", cidrIp(ipv6.address)] : []),
    ...[ipv4, ipv6].flatMap((one) => (one ? ["--gateway", one.gateway] : [])),
    ...["--mac-addr", gatewayMac(guest)],
    // Its own default is 65520, which the pod's network cannot carry.
    ...["--mtu", String(mtu)],
    // Else the gateway's address would mean the pod's loopback, and the gateway itself could not be reached.
    "--no-map-gw",
    ...(nameservers.length > 0 ? nameservers : [NONE]).flatMap((ip) => ["--dns", ip]),
    ...["--search", searchDomains.length > 0 ? searchDomains.join(" ") : NONE],
    ...portSpecs(settings, "tcp").flatMap((spec) => ["--tcp-ports", spec]),
    ...portSpecs(settings, "udp").flatMap((spec) => ["--udp-ports", spec]),
  ];
}

export function passtWords(settings: PasstSettings, guest: Mac): readonly string[] {
  const { nic, ipv4, ipv6, mtu } = settings;
  const { nameservers, searchDomains } = resolverOf(settings);
  const { rootless } = nic.vm;
  return [
    rootless === undefined
      ? `sockets in the pod, as ${nic.names.podInterface} has them`
      : `the user's own sockets, as the host's ${rootless.link} has them`,
    ...[ipv4, ipv6].flatMap((one) => (one ? [`give ${one.address}  router ${one.gateway}`] : [])),
    `mtu ${mtu}  router's mac ${gatewayMac(guest)}  pod's loopback out of reach`,
    `dns ${nameservers.join(", ") || NONE}  search ${searchDomains.join(", ") || NONE}`,
    ...(["tcp", "udp"] as const).map(
      (protocol) => `inbound ${protocol} ${portSpecs(settings, protocol).join(" ").replaceAll(",", ", ")}`,
    ),
  ];
}

/** The same at every start and on every host: what a guest has in its neighbour table stays true. */
function gatewayMac(guest: Mac): Mac {
  return guest === BRIDGE_MAC ? OTHER_MAC : BRIDGE_MAC;
}

function resolverOf({ nic, ipv4, ipv6 }: PasstSettings) {
  const { nameservers, searchDomains } = nic.resolver;
  return {
    nameservers: nameservers.filter((ip) => (ip.includes(":") ? ipv6 : ipv4) !== undefined),
    searchDomains: searchDomainsFor(searchDomains, nic.vm.subdomain),
  };
}

/** One for each address that is listened on; without a pod, `127.0.0.1/8080:80`. */
function portSpecs(
  { forwards, hostPorts }: PasstSettings,
  protocol: PortForward["protocol"],
): readonly string[] {
  if (hostPorts === undefined) return [portSpec(forwards, protocol)];
  const own = hostPorts.filter((one) => one.protocol === protocol);
  const places = [...new Set(own.map(({ listen }) => listen))];
  if (places.length === 0) return [NONE];
  return places.map((place) => {
    const specs = own.filter(({ listen }) => listen === place).map(mappedSpec);
    return `${place === "*" ? "" : `${place}/`}${specs.join(",")}`;
  });
}

function mappedSpec({ host, start, end }: HostPorts): string {
  return `${rangeSpec({ start: host, end: host + end - start })}:${rangeSpec({ start, end })}`;
}

/** `80,8000-8010,~8005`; exclusions alone mean all others. */
function portSpec(forwards: readonly PortForward[], protocol: PortForward["protocol"]): string {
  const forward = forwards.find((one) => one.protocol === protocol);
  if (forward === undefined) return NONE;
  return forward.ranges.length === 0 ? "all" : forward.ranges.map(rangeSpec).join(",");
}

function rangeSpec({ start, end, exclude }: PortRange): string {
  return `${exclude ? "~" : ""}${start}${end === start ? "" : `-${end}`}`;
}
