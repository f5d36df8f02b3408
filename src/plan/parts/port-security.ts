/**
 * To what a guest is held at its door, and how much of it the VM's author has lifted (api/port-security.ts). One
 * identity for all bindings that make the guest a station of its network, so that a level means the same for each.
 */
import { type PortSecurity, portSecurityOf } from "../../api/port-security.ts";
import type { Cidr } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import type { NicContext, NicSpec } from "../binding.ts";
import type { SenderPlan } from "../plan.ts";
import type { GuestIdentity } from "./anti-spoof.ts";
import { routerIpv6 } from "./pod-address-services.ts";
import type { PodAddresses } from "./pod-addresses.ts";

const EVERY_IPV4 = "0.0.0.0/0" as Cidr;
const EVERY_IPV6 = "::/0" as Cidr;

/** @param known podtap knows which addresses are the guest's; otherwise they are the network's to give */
export function stationIdentity(
  nic: NicContext,
  mac: Mac,
  addresses: PodAddresses,
  known: boolean,
): GuestIdentity {
  const { tap, podInterface } = nic.names;
  const { ipv4, ipv6 } = addresses;
  const level = levelOf(nic);
  const anyAddress = { tap, podInterface, mac, ipv4: "any", ipv6: "any", routerIpv6: [] } as const;
  if (level === "off") return { ...anyAddress, unguarded: true };
  if (level === "mac" || !known) return anyAddress;
  const own = ipv6 ? [ipv6.ip] : [];
  return {
    ...anyAddress,
    ipv4: ipv4 ? [ipv4.ip] : [],
    ipv6: own,
    routerIpv6: routerIpv6(addresses),
    claims: own,
  };
}

/** The same for a redirect; undefined: anybody may send. */
export function sendersOf(guest: GuestIdentity): SenderPlan | undefined {
  if (guest.unguarded) return undefined;
  const { mac, ipv4, ipv6, routerIpv6: routers, claims } = guest;
  return {
    mac,
    ipv4: ipv4 === "any" ? [EVERY_IPV4] : ipv4,
    ipv6: ipv6 === "any" ? [EVERY_IPV6] : ipv6,
    routers,
    ...(claims && { claims }),
    otherProtocols: ipv4 === "any" && ipv6 === "any",
  };
}

export function portSecurityNotes(nic: NicSpec): readonly string[] {
  const notes: Readonly<Record<PortSecurity, readonly string[]>> = {
    strict: [],
    mac: ["port security is mac: the guest may send from any address, under its own MAC"],
    off: ["port security is off: the guest may send as anybody, and be a router and DHCP server"],
  };
  return notes[levelOf(nic)];
}

function levelOf(nic: NicSpec): PortSecurity {
  return portSecurityOf(nic.annotations, nic.interface.name);
}
