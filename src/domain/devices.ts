/** Disks and boot media of a domain after their files were prepared: what the XML needs to know of each. */

export interface DomainDisk {
  /** The manifest's disk name; the alias is `ua-<name>`. */
  readonly name: string;
  readonly device: "disk" | "cdrom" | "lun";
  readonly bus: "virtio" | "sata" | "scsi" | "usb";
  readonly format: "raw" | "qcow2";
  /** Absolute path as QEMU sees it. */
  readonly path: string;
  /** Stated explicitly, so that nothing is probed from a guest-written header. */
  readonly backing?: { readonly path: string; readonly format: "raw" | "qcow2" };
  readonly readonly: boolean;
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly cache?: string;
  readonly pciAddress?: string;
}

export interface DomainKernel {
  readonly kernelPath?: string;
  readonly initrdPath?: string;
  readonly args?: string;
}

export interface Accelerator {
  readonly type: "kvm" | "tcg";
  /** Why this one, for status: "/dev/kvm is there, but a guest hangs on it". */
  readonly reason: string;
}
