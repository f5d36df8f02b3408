/**
 * An override that leads to a disk on this machine instead of an image. It is copied into the cache, as a clone where
 * the file system can: what guests boot from must not change while they run, and their user must be able to read it.
 */
import { constants, copyFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../../base/errors.ts";
import { hexHash } from "../../base/names.ts";
import { imageError } from "./image-error.ts";
import type { Wanted } from "./layered-paths.ts";
import type { UnpackedFile } from "./unpack.ts";

export interface LocalDisk {
  readonly path: string;
  readonly bytes: number;
  /** Stands for a digest: the file as it is now, by what changes when it is written or replaced. */
  readonly identity: string;
}

export async function lookAtDisk(path: string, image: string): Promise<LocalDisk> {
  try {
    const { size, mtimeMs, ino, dev } = await stat(path);
    return { path, bytes: size, identity: hexHash(JSON.stringify([path, size, mtimeMs, ino, dev])) };
  } catch (thrown) {
    throw unreadable(path, image, thrown);
  }
}

export async function copyDisk(
  disk: LocalDisk,
  wanted: Wanted,
  { folder, limit, image }: { readonly folder: string; readonly limit: number; readonly image: string },
): Promise<UnpackedFile> {
  if (disk.bytes > limit) {
    throw imageError("space", `disk ${disk.path} has ${disk.bytes} bytes, more than is free for it`, {
      blame: "host",
      hint: "make room under PODTAP_STATE_DIR, or move it",
    });
  }
  const copy = join(folder, "disk");
  await copyFile(disk.path, copy, constants.COPYFILE_FICLONE).catch((thrown: unknown) => {
    throw unreadable(disk.path, image, thrown);
  });
  return { path: copy, bytes: disk.bytes, sha256: disk.identity, wanted, pathInImage: basename(disk.path) };
}

function unreadable(path: string, image: string, thrown: unknown): Error {
  return imageError("layout", `image ${image}: disk ${path} cannot be copied: ${messageOf(thrown)}`, {
    cause: thrown,
    hint: "check the path given to --image-override",
  });
}
