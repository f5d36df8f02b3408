/**
 * A new qcow2 image (docs/interop/qcow2.txt of QEMU, version 3): empty, or an overlay on a backing file. Written here
 * because it is a header and three tables, and `qemu-img create` takes 20 ms each.
 *
 *   cluster 0: header, backing format, backing file name · 1: refcount table · 2: its only block · 3…: L1 table
 *
 * Clusters of 64 KiB, 16-bit refcounts. Nothing of the disk is allocated.
 */
import { PodtapError } from "../../base/errors.ts";

export interface NewQcow2 {
  /** Rounded up to sectors. */
  readonly virtualBytes: number;
  readonly backing?: { readonly path: string; readonly format: "raw" | "qcow2" };
}

const CLUSTER_BITS = 16;
const CLUSTER = 1 << CLUSTER_BITS;
/** An L1 entry points to a table of 8192 clusters. */
const L1_COVERS = CLUSTER * (CLUSTER / 8);
/** QEMU's own limit for the L1 table: 32 MiB. */
const LARGEST = L1_COVERS * ((32 << 20) / 8);
const HEADER = 104;
const LONGEST_NAME = 1023;

export function encodeQcow2({ virtualBytes, backing }: NewQcow2): Buffer {
  const size = Math.ceil(virtualBytes / 512) * 512;
  if (!(size > 0 && size <= LARGEST)) {
    throw new PodtapError({
      code: "PT-DISK-5",
      message: `a disk of ${virtualBytes} bytes cannot be made; the limit is ${LARGEST / 2 ** 40} TiB`,
      blame: "manifest",
    });
  }
  const l1Entries = Math.ceil(size / L1_COVERS);
  const clusters = 3 + Math.ceil((l1Entries * 8) / CLUSTER);
  const image = Buffer.alloc(clusters * CLUSTER);
  image.write("QFI\xfb", 0, "latin1");
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(CLUSTER_BITS, 20);
  image.writeBigUInt64BE(BigInt(size), 24);
  image.writeUInt32BE(l1Entries, 36);
  image.writeBigUInt64BE(BigInt(3 * CLUSTER), 40);
  image.writeBigUInt64BE(BigInt(CLUSTER), 48);
  image.writeUInt32BE(1, 56);
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(HEADER, 100);
  if (backing !== undefined) putBacking(image, backing);
  image.writeBigUInt64BE(BigInt(2 * CLUSTER), CLUSTER);
  for (let i = 0; i < clusters; i++) image.writeUInt16BE(1, 2 * CLUSTER + 2 * i);
  return image;
}

/** The format as a header extension, the name behind the extensions. */
function putBacking(
  image: Buffer,
  { path, format }: { readonly path: string; readonly format: string },
): void {
  const name = Buffer.from(path, "utf8");
  if (name.length > LONGEST_NAME) {
    throw new PodtapError({ code: "PT-DISK-5", message: `the path of a backing file is too long: ${path}` });
  }
  image.writeUInt32BE(0xe2792aca, HEADER);
  image.writeUInt32BE(format.length, HEADER + 4);
  image.write(format, HEADER + 8, "latin1");
  // The extension is padded to 8 bytes; eight zeros end the list.
  const at = HEADER + 8 + Math.ceil(format.length / 8) * 8 + 8;
  image.writeBigUInt64BE(BigInt(at), 8);
  image.writeUInt32BE(name.length, 16);
  name.copy(image, at);
}
