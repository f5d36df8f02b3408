/**
 * From an image reference to the few files of it that a VM needs, on this machine's disk.
 *
 *   reference ── override? ── OCI layout ───────────────────────┐
 *             └─ registry: cache by name and digest, a layout   ├─ unpack wanted files ── files/<sha256>
 *                of the layouts folder, else skopeo ────────────┘
 *
 * Promises: the same image asked for twice at once is fetched once; an interrupted fetch leaves nothing that counts;
 * files once handed out never change. Not here: overlays and formats of disks (disks/), deleting what nobody uses.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { readdir, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CachedFile, ImageCache } from "./image-cache.ts";
import { imageError } from "./image-error.ts";
import type { Wanted } from "./layered-paths.ts";
import { type LayoutImage, layoutTags, openLayoutImage } from "./layout.ts";
import { copyDisk, lookAtDisk } from "./override-disk.ts";
import {
  type ImageSource,
  overrideFor,
  parseImageReference,
  parseOverrideTarget,
  repositoryOf,
} from "./reference.ts";
import { sweepScratch, withScratch } from "./scratch.ts";
import { type Caller, SharedWork } from "./shared-work.ts";
import { copyToLayout, registryDigest, type SkopeoOptions } from "./skopeo.ts";
import { unpackFiles } from "./unpack.ts";

export type PullPolicy = "Always" | "IfNotPresent" | "Never";

export interface ImageProgress {
  readonly phase: "pulling" | "unpacking";
  /** So far; how many there will be is not known. */
  readonly bytes: number;
}

export interface ImageRequest {
  /** As the manifest has it. */
  readonly image: string;
  readonly wanted: readonly Wanted[];
  /** Of a registry's images; default IfNotPresent. What is on this machine's disk is looked up anew each time. */
  readonly pullPolicy?: PullPolicy;
  /** Docker configuration with credentials (`.dockerconfigjson` of a pull secret). */
  readonly credentials?: string;
  readonly signal?: AbortSignal;
  readonly progress?: (report: ImageProgress) => void;
}

export interface ImageStoreOptions {
  readonly root: string;
  /** Image → reference or absolute path of a disk; read at each request. */
  readonly overrides?: () => Readonly<Record<string, string>>;
  /** OCI layouts by repository (`<folder>/quay.io/lab/disk`), or one layout whose tags are complete names. */
  readonly layouts?: string;
  /** Whether a manifest may name paths of this machine (`oci:/…`). Off where its author is not the machine's owner. */
  readonly localReferences?: boolean;
  /** Registries (`host[:port]`) without TLS. */
  readonly insecureRegistries?: readonly string[];
  /** Default `skopeo`. */
  readonly skopeo?: string;
  /** Group that reads the files; undefined leaves the owner alone. */
  readonly gid?: number;
  /** Default: what is free under `root`, less a reserve. */
  readonly freeBytes?: () => Promise<number>;
}

export type ImageFile = CachedFile;

const RESERVE = 64 << 20;
const PULL_TAG = "image";

export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #cache: ImageCache;
  readonly #work = new SharedWork<readonly CachedFile[], ImageProgress>();

  constructor(options: ImageStoreOptions) {
    this.#options = options;
    this.#cache = new ImageCache(options.root, options.gid);
    mkdirSync(options.root, { recursive: true, mode: 0o755 });
    chmodSync(options.root, 0o755);
    sweepScratch(options.root);
  }

  /**
   * The wanted files, in that order.
   * @throws PodtapError PT-IMAGE-1 to 8, or the signal's reason
   */
  async fetch(request: ImageRequest): Promise<readonly ImageFile[]> {
    const source = this.#sourceOf(request.image);
    const { wanted, pullPolicy = "IfNotPresent" } = request;
    const caller = {
      signal: request.signal ?? new AbortController().signal,
      progress: request.progress ?? (() => undefined),
    };
    const key = JSON.stringify([source, wanted, pullPolicy, request.credentials]);
    return this.#work.run(key, caller, (all) => this.#fetchFrom(source, request, all));
  }

  #sourceOf(image: string): ImageSource {
    const override = overrideFor(image, this.#options.overrides?.() ?? {});
    if (override !== undefined) return parseOverrideTarget(override);
    const source = parseImageReference(image);
    if (source.kind !== "registry" && this.#options.localReferences === false) {
      throw imageError("reference", `image ${image}: manifests may not name paths of this machine here`, {
        hint: "name a registry's image, and map it with --image-override",
      });
    }
    return source;
  }

  async #fetchFrom(
    source: ImageSource,
    request: ImageRequest,
    caller: Caller<ImageProgress>,
  ): Promise<readonly CachedFile[]> {
    switch (source.kind) {
      case "oci":
        return this.#unpack(await openLayoutImage(source.path, source.tag), request.wanted, caller);
      case "oci-archive":
      case "docker-archive":
        return this.#fromArchive(source, request, caller);
      case "disk":
        return this.#fromDisk(source.path, request);
      case "registry":
        return this.#fromRegistry(source.name, request, caller);
    }
  }

  async #fromDisk(path: string, { image, wanted }: ImageRequest): Promise<readonly CachedFile[]> {
    const [only] = wanted;
    if (only === undefined || wanted.length > 1) {
      throw imageError(
        "path",
        `image ${image} is overridden by the disk ${path}, and several files of it are needed`,
        {
          hint: "a kernel and an initrd come from an OCI layout: --image-override IMAGE=oci:/path:tag",
        },
      );
    }
    const disk = await lookAtDisk(path, image);
    const cached = await this.#cache.files(disk.identity, wanted);
    if (cached !== undefined) return cached;
    return withScratch(this.#options.root, async (folder) => {
      const limit = await this.#freeBytes();
      return this.#cache.keep(disk.identity, [await copyDisk(disk, only, { folder, limit, image })]);
    });
  }

  async #fromArchive(
    { kind, path, tag }: Extract<ImageSource, { readonly path: string }> & { readonly tag?: string },
    { image, wanted }: ImageRequest,
    caller: Caller<ImageProgress>,
  ): Promise<readonly CachedFile[]> {
    await stat(path).catch((thrown: Error) => {
      throw imageError("layout", `image ${image}: archive ${path} cannot be read: ${thrown.message}`, {
        cause: thrown,
      });
    });
    const reference = `${kind}:${path}${tag === undefined ? "" : `:${tag}`}`;
    return this.#throughLayout(reference, image, this.#skopeo("", caller), wanted, caller);
  }

  async #fromRegistry(
    name: string,
    request: ImageRequest,
    caller: Caller<ImageProgress>,
  ): Promise<readonly CachedFile[]> {
    const { wanted, pullPolicy = "IfNotPresent" } = request;
    const local = await this.#localLayout(name);
    if (local !== undefined)
      return this.#unpack(await openLayoutImage(local.layout, local.tag), wanted, caller);
    const known = await this.#cache.digestOf(name);
    const cached = known === undefined ? undefined : await this.#cache.files(known, wanted);
    if (cached !== undefined && pullPolicy !== "Always") return cached;
    if (pullPolicy === "Never") {
      throw imageError("absent", `image ${name} is not on this machine, and its imagePullPolicy is Never`, {
        hint: `set imagePullPolicy: IfNotPresent, or give it from disk: --image-override ${repositoryOf(name)}=oci:/path:tag`,
      });
    }
    return withScratch(this.#options.root, async (folder) => {
      const authFile = await writeCredentials(folder, request.credentials);
      const skopeo = { ...this.#skopeo(name, caller), ...(authFile && { authFile }) };
      const digest = await registryDigest(name, skopeo);
      const current = await this.#cache.files(digest, wanted);
      const pinned = `docker://${repositoryOf(name)}@${digest}`;
      const files = current ?? (await this.#throughLayout(pinned, name, skopeo, wanted, caller, digest));
      await this.#cache.rememberName(name, digest);
      return files;
    });
  }

  /** Into a layout of its own by skopeo, and from there. */
  async #throughLayout(
    reference: string,
    name: string,
    skopeo: SkopeoOptions,
    wanted: readonly Wanted[],
    caller: Caller<ImageProgress>,
    digest?: string,
  ): Promise<readonly CachedFile[]> {
    return withScratch(this.#options.root, async (folder) => {
      const layout = join(folder, "layout");
      const stop = reportGrowth(layout, (bytes) => caller.progress({ phase: "pulling", bytes }));
      try {
        await copyToLayout(reference, { layout, tag: PULL_TAG }, name, skopeo);
      } finally {
        stop();
      }
      const image = await openLayoutImage(layout, PULL_TAG);
      return this.#unpack(digest === undefined ? image : { ...image, digest }, wanted, caller);
    });
  }

  async #unpack(
    image: LayoutImage,
    wanted: readonly Wanted[],
    { signal, progress }: Caller<ImageProgress>,
  ): Promise<readonly CachedFile[]> {
    const cached = await this.#cache.files(image.digest, wanted);
    if (cached !== undefined) return cached;
    return withScratch(this.#options.root, async (folder) => {
      const files = await unpackFiles(image, wanted, {
        folder: join(folder, "files"),
        freeBytes: await this.#freeBytes(),
        signal,
        progress: (bytes) => progress({ phase: "unpacking", bytes }),
      });
      return this.#cache.keep(image.digest, files);
    });
  }

  async #localLayout(name: string): Promise<{ readonly layout: string; readonly tag: string } | undefined> {
    const { layouts } = this.#options;
    if (layouts === undefined) return undefined;
    const byRepository = join(layouts, repositoryOf(name));
    const tag = /:([^/:@]*)$/.exec(name)?.[1] ?? "";
    if (await hasTag(byRepository, tag)) return { layout: byRepository, tag };
    return (await hasTag(layouts, name)) ? { layout: layouts, tag: name } : undefined;
  }

  #skopeo(name: string, { signal }: Caller<ImageProgress>): SkopeoOptions {
    const { skopeo = "skopeo", insecureRegistries = [] } = this.#options;
    return { program: skopeo, signal, insecure: insecureRegistries.includes(name.split("/")[0] ?? "") };
  }

  async #freeBytes(): Promise<number> {
    const { freeBytes, root } = this.#options;
    if (freeBytes !== undefined) return freeBytes();
    const { bavail, bsize } = await statfs(root);
    return Math.max(0, bavail * bsize - RESERVE);
  }
}

async function hasTag(layout: string, tag: string): Promise<boolean> {
  try {
    await stat(join(layout, "oci-layout"));
  } catch {
    return false;
  }
  return (await layoutTags(layout)).includes(tag);
}

async function writeCredentials(
  folder: string,
  credentials: string | undefined,
): Promise<string | undefined> {
  if (credentials === undefined) return undefined;
  const path = join(folder, "auth.json");
  await writeFile(path, credentials, { mode: 0o600 });
  return path;
}

/** skopeo tells nobody but a terminal how far it is; the folder it writes into does. */
function reportGrowth(layout: string, report: (bytes: number) => void): () => void {
  let last = 0;
  const timer = setInterval(async () => {
    const bytes = await folderBytes(layout);
    if (bytes > last) report(bytes);
    last = Math.max(last, bytes);
  }, 250);
  timer.unref();
  return () => clearInterval(timer);
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
