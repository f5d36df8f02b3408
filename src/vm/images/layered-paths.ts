/**
 * What the layers of an image make of the few paths somebody asks for (image-spec, `layer.md`).
 *
 * Theory of operation. Layers are applied from the lowest up. Within a layer an entry replaces what was at its path;
 * `.wh.NAME` removes NAME of the layers below, `.wh..wh..opq` everything in its folder of the layers below, and both
 * leave alone what their own layer brings. Only paths that matter are kept: those asked for, their parents, and the
 * children of a folder asked for. Links are never followed: KubeVirt opens the disk without following them either
 * (`pkg/container-disk`), and a link is how an image would point at a file of the host.
 */
import { imageError } from "./image-error.ts";
import type { TarEntry } from "./tar-reader.ts";

/** A file by its path, or the only file of a folder (KubeVirt's rule for /disk). Without leading slash. */
export type Wanted = { readonly file: string } | { readonly folder: string };

/** What lies at a path: content that was written somewhere, or something that cannot be used, by its type. */
export type Node<Content> =
  | { readonly type: "file"; readonly content: Content }
  | { readonly type: "directory" | "symlink" | "hardlink" | "device" | "other"; readonly target?: string };

const OPAQUE = ".wh..wh..opq";
const WHITEOUT = ".wh.";
const MOST_ENTRIES = 1000;

export class LayeredPaths<Content> {
  readonly #wanted: readonly Wanted[];
  #below = new Map<string, Node<Content>>();
  #layer = new Map<string, Node<Content>>();
  #removed: { readonly path: string; readonly opaque: boolean }[] = [];

  constructor(wanted: readonly Wanted[]) {
    this.#wanted = wanted;
  }

  /** Whether the content of this entry may be what is asked for. */
  wantsContent({ path, type }: TarEntry): boolean {
    return type === "file" && !isWhiteout(path) && this.#wanted.some((one) => isAnswer(one, path));
  }

  /** Notes an entry of the layer under way; `content` where `wantsContent` said so. */
  add(entry: TarEntry, content: Content | undefined): void {
    const { path } = entry;
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    if (name.startsWith(WHITEOUT)) {
      const folder = path.slice(0, Math.max(slash, 0));
      const target = name.slice(WHITEOUT.length);
      const gone = name === OPAQUE ? folder : folder === "" ? target : `${folder}/${target}`;
      if (gone === "" || this.#matters(gone)) this.#removed.push({ path: gone, opaque: name === OPAQUE });
      this.#refuseTooMany(this.#removed.length);
      return;
    }
    if (!this.#matters(path)) return;
    this.#refuseTooMany(this.#layer.size);
    if (entry.type !== "directory") deleteUnder(this.#layer, path);
    this.#layer.set(path, nodeOf(entry, content));
  }

  endLayer(): void {
    for (const { path, opaque } of this.#removed) {
      deleteUnder(this.#below, path);
      if (!opaque) this.#below.delete(path);
    }
    for (const [path, node] of this.#layer) {
      // A folder over a folder keeps what was in it; anything else hides it.
      if (node.type !== "directory" || this.#below.get(path)?.type !== "directory") {
        if (node.type !== "directory" || this.#below.has(path)) deleteUnder(this.#below, path);
      }
      this.#below.set(path, node);
    }
    this.#layer = new Map();
    this.#removed = [];
  }

  /** @throws PodtapError PT-IMAGE-6 */
  resolve(wanted: Wanted): { readonly path: string; readonly content: Content } {
    const path = "file" in wanted ? wanted.file : this.#onlyChild(wanted.folder);
    this.#refuseLinkedParents(path);
    const node = this.#below.get(path);
    if (node === undefined) throw imageError("path", `there is no file /${path} in the image`);
    if (node.type !== "file") throw unusable(path, node);
    return { path, content: node.content };
  }

  #matters(path: string): boolean {
    return this.#wanted.some((one) => isAnswer(one, path) || isParent(path, pathOf(one)));
  }

  #refuseTooMany(count: number): void {
    if (count < MOST_ENTRIES) return;
    throw imageError(
      "layer",
      `a layer of the image has more than ${MOST_ENTRIES} entries where one file is looked for`,
    );
  }

  #onlyChild(folder: string): string {
    this.#refuseLinkedParents(`${folder}/x`);
    const found = [...this.#below.keys()].filter((path) => isChild(folder, path));
    const [only] = found;
    if (only !== undefined && found.length === 1) return only;
    const what =
      found.length === 0
        ? "no file"
        : `${found.length} files (${found
            .slice(0, 5)
            .map((path) => `/${path}`)
            .join(", ")})`;
    throw imageError("path", `the image has ${what} in /${folder}, where a container disk has one`, {
      hint:
        found.length === 0
          ? "is it a container disk? set containerDisk.path where the file is elsewhere"
          : "set containerDisk.path to one of them",
    });
  }

  #refuseLinkedParents(path: string): void {
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1)) {
      const node = this.#below.get(path.slice(0, slash));
      if (node !== undefined && node.type !== "directory")
        throw unusable(path.slice(0, slash), node.type === "file" ? { type: "other" } : node);
    }
  }
}

function nodeOf<Content>(entry: TarEntry, content: Content | undefined): Node<Content> {
  if (entry.type !== "file") return { type: entry.type, target: entry.linkTarget };
  // A regular file that nobody wants the content of: in the way of a path all the same.
  return content === undefined ? { type: "other" } : { type: "file", content };
}

function unusable(path: string, node: Exclude<Node<unknown>, { type: "file" }>): Error {
  const words = {
    directory: "a folder",
    symlink: `a symbolic link to ${node.target}`,
    hardlink: `a hard link to ${node.target}`,
    device: "a device node",
    other: "not a plain file",
  };
  return imageError(
    "path",
    `/${path} of the image is ${words[node.type]}; a plain file is needed, links are not followed`,
    {
      hint: "copy the file itself into the image: COPY disk.qcow2 /disk/",
    },
  );
}

function pathOf(wanted: Wanted): string {
  return "file" in wanted ? wanted.file : wanted.folder;
}

function isAnswer(wanted: Wanted, path: string): boolean {
  if ("file" in wanted) return wanted.file === path;
  return isChild(wanted.folder, path);
}

/** Or the same. */
function isParent(parent: string, path: string): boolean {
  return parent === path || path.startsWith(`${parent}/`);
}

function isChild(folder: string, path: string): boolean {
  return path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes("/");
}

function isWhiteout(path: string): boolean {
  return path.slice(path.lastIndexOf("/") + 1).startsWith(WHITEOUT);
}

function deleteUnder(nodes: Map<string, unknown>, path: string): void {
  const prefix = path === "" ? "" : `${path}/`;
  for (const other of [...nodes.keys()]) if (other !== path && other.startsWith(prefix)) nodes.delete(other);
}
