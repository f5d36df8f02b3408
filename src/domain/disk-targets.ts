/**
 * Where disks show up in the guest: `vda`, `vdb` on virtio, `sda` on every other bus, lettered in manifest order a
 * prefix (KubeVirt: `makeDeviceName`), and the controllers that such disks ask for.
 */
import type { DomainDisk } from "./devices.ts";

export interface TargetedDisk extends DomainDisk {
  readonly target: string;
}

export function targetDisks(disks: readonly DomainDisk[]): TargetedDisk[] {
  const used = new Map<string, number>();
  return disks.map((disk) => {
    const prefix = disk.bus === "virtio" ? "vd" : "sd";
    const index = used.get(prefix) ?? 0;
    used.set(prefix, index + 1);
    return { ...disk, target: prefix + letters(index) };
  });
}

/** a … z, aa … zz: the kernel's `sd_format_disk_name`. */
function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}
