/**
 * The folder with a VM's own disks. It belongs to the launcher's user, so what lies there may be anything by the next
 * time root looks: new files are made under fresh names and moved into place, links are never followed, and what is
 * kept is kept because of its name, which says what it was made from.
 */
import { lchown, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PodtapError } from "../../base/errors.ts";
import { hexHash } from "../../base/names.ts";

export interface DiskFolder {
  readonly path: string;
  /** Owner of the files; undefined (tests without root) leaves it alone. */
  readonly uid: number | undefined;
}

const VOLUME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export async function openDiskFolder(path: string, uid: number | undefined): Promise<DiskFolder> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined && uid !== undefined) await lchown(path, uid, uid);
  // What a run before this one did not finish.
  const unfinished = (await readdir(path)).filter((name) => name.startsWith("."));
  await Promise.all(unfinished.map((name) => rm(join(path, name), { force: true, recursive: true })));
  return { path, uid };
}

/**
 * The file of a volume made from `key`; made by `content` unless it is there. Files of the same volume that were made
 * from something else go.
 */
export async function keepFile(
  folder: DiskFolder,
  volume: string,
  { key, extension }: { readonly key: string; readonly extension: "qcow2" | "iso" },
  content: () => Uint8Array,
): Promise<string> {
  if (!VOLUME.test(volume)) {
    throw new PodtapError({
      code: "PT-DISK-4",
      message: `volume name ${JSON.stringify(volume)} is not a DNS label`,
    });
  }
  const name = `${volume}.${hexHash(key).slice(0, 12)}.${extension}`;
  const path = join(folder.path, name);
  const former = (await readdir(folder.path)).filter(
    (other) => other.startsWith(`${volume}.`) && other !== name,
  );
  await Promise.all(former.map((other) => rm(join(folder.path, other), { force: true, recursive: true })));
  if (await isPlainFile(path)) return path;
  const unfinished = join(folder.path, `.${name}.${process.pid}`);
  await rm(unfinished, { force: true, recursive: true });
  const file = await open(unfinished, "wx", 0o600);
  try {
    await file.writeFile(content());
    if (folder.uid !== undefined) await file.chown(folder.uid, folder.uid);
  } finally {
    await file.close();
  }
  await rm(path, { force: true, recursive: true });
  await rename(unfinished, path);
  return path;
}

/** Everything that was prepared for a VM. */
export async function removeDisks(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

async function isPlainFile(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isFile();
  } catch {
    return false;
  }
}
