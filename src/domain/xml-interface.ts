/** `<interface>`, children in the order of KubeVirt's Go struct (kubevirt-api, A.1): hook sidecars see the same text. */
import type { DomainInterface } from "./interface.ts";
import { pciAddress } from "./xml-address.ts";
import { element, type XmlElement } from "./xml-element.ts";

export function interfaceElement(nic: DomainInterface): XmlElement {
  return element(
    "interface",
    { type: nic.type },
    nic.pciAddress === undefined ? undefined : pciAddress(nic.pciAddress),
    element("source"),
    element("target", { dev: nic.target.dev, managed: "no" }),
    element("model", { type: nic.model }),
    element("mac", { address: nic.mac }),
    element("mtu", { size: nic.mtu }),
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
