/** `<address type="pci">` of KubeVirt's `dddd:bb:ss.f`. */
import { PodtapError } from "../base/errors.ts";
import { element, type XmlElement } from "./xml-element.ts";

const PCI = /^([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i;

export function pciAddress(text: string): XmlElement {
  const match = PCI.exec(text);
  if (match === null) {
    throw new PodtapError({
      code: "PT-DOMAIN-3",
      message: `${JSON.stringify(text)} is not a PCI address`,
      hint: "Write it as 0000:81:01.0 (domain:bus:slot.function, hexadecimal).",
      blame: "manifest",
      retry: "on-change",
    });
  }
  const [domain, bus, slot, functionNumber] = match.slice(1).map((part) => `0x${part.toLowerCase()}`);
  return element("address", { type: "pci", domain, bus, slot, function: functionNumber });
}
