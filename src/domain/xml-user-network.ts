/**
 * NICs on a QEMU network backend that libvirt has no element for.
 *
 * Theory of operation. libvirt makes the NIC as for its own user network, so that model, PCI address, boot order,
 * option ROM and link state are its business as for any other. `<qemu:commandline>` adds the backend that is wanted,
 * and `<qemu:override>` (libvirt 8.2) joins the NIC to it. The backend that libvirt made stays without a NIC: a user
 * network that nothing is sent to.
 */
import { cidrIp, cidrPrefix } from "../base/ip.ts";
import type { BuiltinNetdev, DomainInterface, StreamNetdev, UserInterface } from "./interface.ts";
import { element, type XmlElement } from "./xml-element.ts";

export const QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0";

/** Nothing where no NIC needs it: such a domain is not "tainted". */
export function userNetworkElements(
  nics: readonly DomainInterface[],
  socketFolder: string,
): readonly XmlElement[] {
  const wanted = nics.filter((nic) => nic.type === "user");
  const overridden = nics.filter((nic) => nic.type !== "ethernet");
  if (overridden.length === 0) return [];
  const backends = wanted.flatMap((nic) => [
    element("qemu:arg", { value: "-netdev" }),
    element("qemu:arg", { value: JSON.stringify(netdev(nic, socketFolder)) }),
  ]);
  const devices = overridden.flatMap((nic) => {
    const properties = overrides(nic);
    if (properties.length === 0) return [];
    return [element("qemu:device", { alias: nic.alias }, element("qemu:frontend", {}, ...properties))];
  });
  return [
    ...(backends.length > 0 ? [element("qemu:commandline", {}, ...backends)] : []),
    ...(devices.length > 0 ? [element("qemu:override", {}, ...devices)] : []),
  ];
}

function overrides(nic: DomainInterface): readonly XmlElement[] {
  const property = (name: string, type: string, value: string | number) =>
    element("qemu:property", { name, type, value });
  return [
    ...(nic.type === "user" ? [property("netdev", "string", netdevId(nic))] : []),
    // Other models have no way to tell the guest; DHCP and router advertisements do.
    ...(nic.model.startsWith("virtio") ? [property("host_mtu", "unsigned", nic.mtu)] : []),
  ];
}

function netdevId({ alias }: DomainInterface): string {
  return `podtap-${alias}`;
}

/** As JSON, in which a comma of the manifest is a comma (QEMU 7.2). */
function netdev(nic: UserInterface, socketFolder: string): object {
  const id = netdevId(nic);
  return nic.netdev.type === "stream" ? stream(nic.netdev, id, socketFolder) : builtin(nic.netdev, id);
}

function stream({ socket }: StreamNetdev, id: string, folder: string): object {
  return { type: "stream", id, server: true, addr: { type: "unix", path: `${folder}/${socket}` } };
}

function builtin({ ipv4, ipv6, hostname, searchDomains, forwards }: BuiltinNetdev, id: string): object {
  return {
    type: "user",
    id,
    ipv4: ipv4 !== undefined,
    ipv6: ipv6 !== undefined,
    ...(ipv4 && { net: ipv4.network, host: ipv4.host, dhcpstart: ipv4.guest, dns: ipv4.dns }),
    ...(ipv6 && {
      "ipv6-prefix": cidrIp(ipv6.network),
      "ipv6-prefixlen": cidrPrefix(ipv6.network),
      "ipv6-host": ipv6.host,
      "ipv6-dns": ipv6.dns,
    }),
    hostname,
    ...(searchDomains.length > 0 && { dnssearch: searchDomains.map((str) => ({ str })) }),
    ...(forwards.length > 0 && {
      hostfwd: forwards.map(({ protocol, port }) => ({ str: `${protocol}::${port}-:${port}` })),
    }),
  };
}
