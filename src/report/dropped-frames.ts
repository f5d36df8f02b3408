/** What the rules at a guest's door dropped, in words. Pure. */
import { PORT_SECURITY_ANNOTATION } from "../api/port-security.ts";
import { SPOOF_COUNTERS } from "../plan/parts/anti-spoof.ts";

/** In this order. Not here: what podtap answers itself, and what redirects and the pod's own stack leave. */
const MEANINGS: Readonly<Record<string, string>> = {
  spoofed_mac: "of the guest, under another MAC",
  spoofed_ipv4: "of the guest, from another IPv4 address",
  spoofed_ipv6: "of the guest, from another IPv6 address",
  spoofed_router: "of the guest, as router or DHCP server",
  other_ethertype: "of the guest, neither IP nor ARP",
  guest_to_pod: "of the guest, to the pod itself",
  undeclared_inbound: "to the guest, to ports that are not declared",
  foreign_dhcp: "to the guest, of other DHCP servers and routers",
};

/** @param liftable port security is what holds this guest */
export function droppedFrames(
  counters: Readonly<Record<string, number>>,
  liftable: boolean,
): readonly string[] {
  const seen = Object.keys(MEANINGS).filter((name) => (counters[name] ?? 0) > 0);
  const forged = SPOOF_COUNTERS.some((name) => seen.includes(name));
  return [
    ...seen.map((name) => `${counters[name]} ${MEANINGS[name]} (${name})`),
    ...(forged && liftable
      ? [`a router, a virtual MAC or a nested cluster? ${PORT_SECURITY_ANNOTATION}`]
      : []),
  ];
}
