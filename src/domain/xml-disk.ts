/**
 * `<disk>`. Formats and backing files are always stated, the end of the chain too (`<backingStore/>`), so that
 * neither libvirt nor QEMU ever opens a file because a guest-written header says so.
 */
import type { TargetedDisk } from "./disk-targets.ts";
import { pciAddress } from "./xml-address.ts";
import { element, type XmlElement } from "./xml-element.ts";

export function diskElement(disk: TargetedDisk): XmlElement {
  const type = disk.device === "lun" ? "block" : "file";
  const writable = !disk.readonly && disk.device === "disk";
  return element(
    "disk",
    { type, device: disk.device, model: disk.bus === "virtio" ? "virtio-non-transitional" : undefined },
    element("source", sourceOf(type, disk.path)),
    element("target", { bus: disk.bus, dev: disk.target }),
    disk.serial === undefined ? undefined : element("serial", {}, disk.serial),
    element("driver", {
      name: "qemu",
      type: disk.format,
      cache: disk.cache,
      // What the guest trims shrinks the overlay again.
      discard: writable ? "unmap" : undefined,
    }),
    disk.readonly || disk.device === "cdrom" ? element("readonly") : undefined,
    element("alias", { name: `ua-${disk.name}` }),
    backingOf(disk),
    disk.bootOrder === undefined ? undefined : element("boot", { order: disk.bootOrder }),
    disk.pciAddress === undefined ? undefined : pciAddress(disk.pciAddress),
  );
}

/** Controllers that libvirt does not add by itself, or would add in another model. */
export function controllerElements(disks: readonly TargetedDisk[]): XmlElement[] {
  const on = (bus: string) => disks.some((disk) => disk.bus === bus);
  return [
    element("controller", { type: "usb", index: 0, model: on("usb") ? "qemu-xhci" : "none" }),
    element("controller", { type: "virtio-serial", index: 0, model: "virtio-non-transitional" }),
    ...(on("scsi")
      ? [element("controller", { type: "scsi", index: 0, model: "virtio-non-transitional" })]
      : []),
  ];
}

function backingOf(disk: TargetedDisk): XmlElement {
  if (disk.backing === undefined) return element("backingStore");
  return element(
    "backingStore",
    { type: "file" },
    element("format", { type: disk.backing.format }),
    element("source", { file: disk.backing.path }),
    element("backingStore"),
  );
}

function sourceOf(type: "file" | "block", path: string): Record<string, string> {
  return type === "file" ? { file: path } : { dev: path };
}
