/**
 * What kind of disk a file is, from its first bytes, and whether it may be used: a qcow2 header that came from
 * somebody else can name any file of this machine as its backing or data file, and QEMU would open it.
 *
 * Read here, not by `qemu-img info`: these are 112 bytes, and no parser in C has to face them (docs/interop/qcow2.txt
 * of QEMU). The format found is then stated to QEMU, which never probes.
 */
import { open } from "node:fs/promises";
import { imageError } from "./image-error.ts";

export interface DiskFile {
  readonly format: "raw" | "qcow2";
  /** Size as the guest sees it. */
  readonly virtualBytes: number;
}

/** Incompatible feature bits that QEMU may meet: dirty, corrupt, compression type, extended L2. Not: external data. */
const KNOWN_FEATURES = 0b11011n;
const EXTERNAL_DATA = 1n << 2n;
const OTHERS: readonly (readonly [string, string])[] = [
  ["KDMV", "VMDK"],
  ["# Disk DescriptorFile", "VMDK"],
  ["vhdxfile", "VHDX"],
  ["conectix", "VHD"],
  ["<<< ", "VDI"],
];

/** @throws PodtapError PT-IMAGE-9; `what` names the disk in it */
export async function readDiskFormat(path: string, what: string): Promise<DiskFile> {
  const file = await open(path, "r");
  try {
    const head = Buffer.alloc(112);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    const { size } = await file.stat();
    return diskFormat(head.subarray(0, bytesRead), size, what);
  } finally {
    await file.close();
  }
}

export function diskFormat(head: Buffer, fileBytes: number, what: string): DiskFile {
  if (head.toString("latin1", 0, 4) === "QFI\xfb") return qcow2(head, what);
  const other = OTHERS.find(([magic]) => head.toString("latin1", 0, magic.length) === magic)?.[1];
  if (other !== undefined) {
    throw imageError("format", `${what} is a ${other} file; disks are raw or qcow2`, {
      hint: "convert it: qemu-img convert -O qcow2 disk disk.qcow2",
    });
  }
  if (fileBytes === 0) throw imageError("format", `${what} is empty`);
  return { format: "raw", virtualBytes: fileBytes };
}

function qcow2(head: Buffer, what: string): DiskFile {
  const refuse = (why: string): Error =>
    imageError("format", `${what} is refused: ${why}`, {
      hint: "flatten it first: qemu-img convert -O qcow2 disk disk-flat.qcow2",
    });
  if (head.length < 72) throw refuse("its qcow2 header is cut short");
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuse(`qcow2 version ${version} is not known`);
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0) {
    throw refuse("it names a backing file, which would be opened on this machine");
  }
  if (head.readUInt32BE(32) !== 0) throw refuse("it is encrypted");
  if (version === 3) {
    const features = head.length < 80 ? ~0n : head.readBigUInt64BE(72);
    if ((features & EXTERNAL_DATA) !== 0n) {
      throw refuse("it keeps its data in another file, which would be opened on this machine");
    }
    if ((features & ~KNOWN_FEATURES) !== 0n) throw refuse("it has features that are not known");
  }
  const size = head.readBigUInt64BE(24);
  if (size === 0n || size > 1n << 53n) throw refuse(`a disk of ${size} bytes`);
  return { format: "qcow2", virtualBytes: Number(size) };
}
