/** Writes a file front to back and leaves holes where the content is zeros, as disks mostly are. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

const HOLE = 1 << 16;
const ZEROS = Buffer.alloc(HOLE);

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the content, hexadecimal. */
  readonly sha256: string;
}

export interface SparseWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** The file is on the disk, not only in memory, when this resolves. */
  end(): Promise<WrittenFile>;
  /** Closes without finishing; harmless after end. */
  abandon(): Promise<void>;
}

export async function openSparseWriter(path: string): Promise<SparseWriter> {
  let file: FileHandle | undefined = await open(path, "wx", 0o640);
  const hash = createHash("sha256");
  let at = 0;
  const close = async (): Promise<void> => {
    const closing = file;
    file = undefined;
    await closing?.close();
  };
  return {
    write: async (chunk) => {
      hash.update(chunk);
      for (let start = 0; start < chunk.length; start += HOLE) {
        const piece = chunk.subarray(start, start + HOLE);
        if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) !== 0) {
          await file?.write(piece, 0, piece.length, at + start);
        }
      }
      at += chunk.length;
    },
    end: async () => {
      await file?.truncate(at);
      await file?.datasync();
      await close();
      return { path, bytes: at, sha256: hash.digest("hex") };
    },
    abandon: close,
  };
}
