/**
 * What was taken out of images, on disk:
 *
 *   files/<sha256>           a file of an image, by its content; never written again once it has that name
 *   unpacked/<digest>.json   which of an image's paths are which of these files
 *   names/<hash>.json        which image a registry's name stood for when it was last pulled
 *
 * Every document and file appears by rename, so a reader finds all of it or nothing. Files are read-only and belong
 * to root with the launcher's group: a guest that breaks out of QEMU cannot change what other guests boot from.
 */
import { existsSync, statSync } from "node:fs";
import { chmod, chown, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hexHash } from "../../base/names.ts";
import type { Wanted } from "./layered-paths.ts";
import type { UnpackedFile } from "./unpack.ts";

export interface CachedFile {
  /** Absolute path on this machine. */
  readonly path: string;
  readonly pathInImage: string;
  readonly sha256: string;
  readonly bytes: number;
}

interface UnpackedRecord {
  readonly [wanted: string]: Omit<CachedFile, "path">;
}

export class ImageCache {
  readonly root: string;
  readonly #gid: number | undefined;

  /** @param gid group that may read the files; undefined (tests without root) leaves the owner alone */
  constructor(root: string, gid: number | undefined) {
    this.root = root;
    this.#gid = gid;
  }

  /** The digest that a registry's name last stood for. */
  async digestOf(name: string): Promise<string | undefined> {
    const record = await readJson<{ readonly digest?: string }>(this.#nameRecord(name));
    return record?.digest;
  }

  async rememberName(name: string, digest: string): Promise<void> {
    await this.#writeJson(this.#nameRecord(name), { name, digest });
  }

  /** All of the wanted files, or undefined when one is missing or not as it was. */
  async files(digest: string, wanted: readonly Wanted[]): Promise<readonly CachedFile[] | undefined> {
    const record = await readJson<UnpackedRecord>(this.#unpackedRecord(digest));
    const found = wanted.map((one) => record?.[keyOf(one)]);
    const files = found
      .filter((file) => file !== undefined)
      .map((file) => ({ ...file, path: this.#file(file.sha256) }));
    const whole = files.length === wanted.length && files.every(isWhole);
    return whole ? files : undefined;
  }

  async keep(digest: string, files: readonly UnpackedFile[]): Promise<readonly CachedFile[]> {
    await mkdir(join(this.root, "files"), { recursive: true, mode: 0o755 });
    const kept = await Promise.all(files.map((file) => this.#keepFile(file)));
    const before = (await readJson<UnpackedRecord>(this.#unpackedRecord(digest))) ?? {};
    const added = kept.map(
      ({ path: _path, ...rest }, i) => [keyOf(files[i]?.wanted ?? { file: "" }), rest] as const,
    );
    await this.#writeJson(this.#unpackedRecord(digest), { ...before, ...Object.fromEntries(added) });
    return kept;
  }

  async #keepFile({ path: from, sha256, bytes, pathInImage }: UnpackedFile): Promise<CachedFile> {
    const kept = { path: this.#file(sha256), pathInImage, sha256, bytes };
    if (isWhole(kept)) return kept;
    if (this.#gid !== undefined) await chown(from, 0, this.#gid);
    await chmod(from, 0o440);
    // Another process may be faster with the same content. A file that is there but not whole is replaced.
    await rm(kept.path, { force: true });
    await link(from, kept.path).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== "EEXIST") throw thrown;
    });
    return kept;
  }

  async #writeJson(path: string, value: unknown): Promise<void> {
    await mkdir(join(path, ".."), { recursive: true, mode: 0o755 });
    const unfinished = `${path}.${process.pid}`;
    await writeFile(unfinished, JSON.stringify(value), { mode: 0o644 });
    await rename(unfinished, path);
  }

  #file(sha256: string): string {
    return join(this.root, "files", sha256);
  }

  #nameRecord(name: string): string {
    return join(this.root, "names", `${hexHash(name)}.json`);
  }

  #unpackedRecord(digest: string): string {
    return join(this.root, "unpacked", `${digest.replace(":", "-")}.json`);
  }
}

function keyOf(wanted: Wanted): string {
  return "file" in wanted ? `/${wanted.file}` : `/${wanted.folder}/`;
}

function isWhole({ path, bytes }: CachedFile): boolean {
  return existsSync(path) && statSync(path).size === bytes;
}

/** undefined where there is none, or where it was damaged: then the work is done again. */
async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
