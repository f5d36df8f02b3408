/** `<interface>`, children in the order of KubeVirt's Go struct (kubevirt-api, A.1): hook sidecars see the same text. */
import { cidrIp, cidrPrefix, familyOf } from "../base/ip.ts";
import type { BackendInterface, DomainInterface, PortForward } from "./interface.ts";
import { pciAddress } from "./xml-address.ts";
import { element, type XmlElement } from "./xml-element.ts";

export function interfaceElement(nic: DomainInterface): XmlElement {
  return element(
    "interface",
    { type: nic.type === "user-backend" ? backendType(nic) : nic.type },
    nic.pciAddress === undefined ? undefined : pciAddress(nic.pciAddress),
    ...attachment(nic),
    element("model", { type: nic.model }),
    element("mac", { address: nic.mac }),
    // For the others libvirt would set it on a link of the host, which there is none of: it is an override.
    nic.type === "ethernet" ? element("mtu", { size: nic.mtu }) : undefined,
    nic.bootOrder === undefined ? undefined : element("boot", { order: nic.bootOrder }),
    nic.linkState === undefined ? undefined : element("link", { state: nic.linkState }),
    element("alias", { name: nic.alias }),
    nic.driver === undefined
      ? undefined
      : element("driver", { name: nic.driver.name, queues: nic.driver.queues }),
    nic.romEnabled ? undefined : element("rom", { enabled: "no" }),
    nic.acpiIndex === undefined ? undefined : element("acpi", { index: nic.acpiIndex }),
  );
}

function backendType({ attach }: BackendInterface): string {
  return attach === "vhost-user" ? "vhostuser" : "user";
}

function attachment(nic: DomainInterface): readonly XmlElement[] {
  switch (nic.type) {
    case "ethernet":
      return [element("source"), element("target", { dev: nic.target.dev, managed: "no" })];
    case "user":
      return [];
    case "user-backend":
      return [
        element("source", { dev: nic.source }),
        element("backend", { type: nic.backend }),
        ...nic.addresses.map((address) =>
          element("ip", {
            address: cidrIp(address),
            family: familyOf(address) === 6 ? "ipv6" : "ipv4",
            // libvirt refuses one with IPv6, whose prefix the pod's link tells.
            prefix: familyOf(address) === 4 ? cidrPrefix(address) : undefined,
          }),
        ),
        ...nic.forwards.map(forwardElement),
      ];
  }
}

function forwardElement({ protocol, ranges }: PortForward): XmlElement {
  const shown = ranges.map(({ start, end, exclude }) =>
    element("range", { start, end: end === start ? undefined : end, exclude: exclude ? "yes" : undefined }),
  );
  return element("portForward", { proto: protocol }, ...shown);
}
