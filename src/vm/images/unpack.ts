/**
 * Takes the wanted files out of an image of a layout: every layer is read once, checked against its digest, unpacked
 * and walked. Nothing that was written counts before all layers were read to their end and found to be what their
 * digests say. What is written and what is inflated is bounded by the free space of the target's file system.
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { imageError } from "./image-error.ts";
import { LayeredPaths, type Wanted } from "./layered-paths.ts";
import { blobStream, type Descriptor, type LayoutImage } from "./layout.ts";
import { openSparseWriter, type SparseWriter, type WrittenFile } from "./sparse-writer.ts";
import { readTar, type TarSink } from "./tar-reader.ts";

export interface UnpackedFile extends WrittenFile {
  readonly wanted: Wanted;
  /** Without leading slash. */
  readonly pathInImage: string;
}

export interface UnpackOptions {
  /** Fresh folder for the files; the caller removes it, whatever happens. */
  readonly folder: string;
  readonly freeBytes: number;
  readonly signal: AbortSignal;
  /** Compressed bytes read so far. */
  readonly progress: (bytes: number) => void;
}

export async function unpackFiles(
  image: LayoutImage,
  wanted: readonly Wanted[],
  options: UnpackOptions,
): Promise<readonly UnpackedFile[]> {
  await mkdir(options.folder, { recursive: true });
  const paths = new LayeredPaths<Promise<WrittenFile>>(wanted);
  const budget = { left: options.freeBytes, whole: options.freeBytes };
  let read = 0;
  for (const [number, layer] of image.layers.entries()) {
    const stem = join(options.folder, String(number));
    await unpackLayer({ image, layer, stem, paths, budget, signal: options.signal }, (bytes) => {
      read += bytes;
      options.progress(read);
    });
    paths.endLayer();
  }
  const found = wanted.map((one) => ({ one, ...paths.resolve(one) }));
  return Promise.all(
    found.map(async ({ one, path, content }) => ({ ...(await content), wanted: one, pathInImage: path })),
  );
}

interface Budget {
  left: number;
  readonly whole: number;
}

interface LayerTask {
  readonly image: LayoutImage;
  readonly layer: Descriptor;
  /** Files of this layer are named after it. */
  readonly stem: string;
  readonly paths: LayeredPaths<Promise<WrittenFile>>;
  readonly budget: Budget;
  readonly signal: AbortSignal;
}

async function unpackLayer(task: LayerTask, progress: (bytes: number) => void): Promise<void> {
  const { image, layer, signal } = task;
  const blob = blobStream(image.layout, layer.digest);
  const open: SparseWriter[] = [];
  try {
    const inflate = decompressor(await firstBytes(blob));
    const content = (inflated: AsyncIterable<Uint8Array>) => walk(task, inflated, open);
    await pipeline(blob, checkedBlob(layer, progress), inflate, content, { signal });
  } catch (thrown) {
    throw layerFailure(thrown, layer, signal);
  } finally {
    blob.destroy();
    await Promise.all(open.map((writer) => writer.abandon()));
  }
}

async function walk(
  task: LayerTask,
  content: AsyncIterable<Uint8Array>,
  open: SparseWriter[],
): Promise<void> {
  const { paths, stem, budget } = task;
  let written = 0;
  await readTar(spend(content, budget), (entry) => {
    if (!paths.wantsContent(entry)) {
      paths.add(entry, undefined);
      return undefined;
    }
    if (entry.bytes > budget.left) throw tooLarge(budget);
    written += 1;
    const writer = openSparseWriter(`${stem}-${written}`).then((opened) => {
      open.push(opened);
      return opened;
    });
    const { sink, done } = sinkOf(writer);
    // Awaited when it is asked for; a failure is the failure of the walk as well.
    done.catch(() => undefined);
    paths.add(entry, done);
    return sink;
  });
}

function sinkOf(writer: Promise<SparseWriter>): {
  readonly sink: TarSink;
  readonly done: Promise<WrittenFile>;
} {
  const { promise, resolve, reject } = Promise.withResolvers<WrittenFile>();
  const sink: TarSink = {
    write: async (chunk) => (await writer).write(chunk),
    end: async () => {
      try {
        resolve(await (await writer).end());
      } catch (thrown) {
        reject(thrown);
        throw thrown;
      }
    },
  };
  return { sink, done: promise };
}

/** Inflated bytes count against the free space, wanted or not: what inflates beyond a disk is no honest image. */
async function* spend(content: AsyncIterable<Uint8Array>, budget: Budget): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    budget.left -= chunk.length;
    if (budget.left < 0) throw tooLarge(budget);
    yield chunk;
  }
}

/** Passes a blob on and fails at its end unless length and digest are the descriptor's. */
function checkedBlob(layer: Descriptor, progress: (bytes: number) => void): Transform {
  const hash = createHash("sha256");
  let bytes = 0;
  return new Transform({
    transform: (chunk: Uint8Array, _encoding, done) => {
      hash.update(chunk);
      bytes += chunk.length;
      progress(chunk.length);
      done(null, chunk);
    },
    flush: (done) => {
      const actual = `sha256:${hash.digest("hex")}`;
      const right = actual === layer.digest && bytes === layer.bytes;
      const told = `${layer.digest} of ${layer.bytes} bytes`;
      done(
        right
          ? null
          : imageError("digest", `layer ${told} is not what its digest says: ${actual} of ${bytes} bytes`, {
              hint: "the image is damaged; pull or build it again",
            }),
      );
    },
  });
}

/** By content: media types are not always right, and Docker's differ. */
function decompressor(magic: Uint8Array): Transform {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return createGunzip();
  if (magic[0] === 0x28 && magic[1] === 0xb5 && magic[2] === 0x2f && magic[3] === 0xfd)
    return createZstdDecompress();
  return new PassThrough({ highWaterMark: 1 << 20 });
}

async function firstBytes(blob: Readable): Promise<Uint8Array> {
  for (;;) {
    const chunk = blob.read() as Buffer | null;
    if (chunk !== null) {
      blob.unshift(chunk);
      return chunk;
    }
    if (blob.readableEnded) return new Uint8Array();
    await new Promise<void>((resolve, reject) => {
      blob.once("readable", resolve);
      blob.once("end", resolve);
      blob.once("error", reject);
    });
  }
}

function layerFailure(thrown: unknown, layer: Descriptor, signal: AbortSignal): unknown {
  if (thrown instanceof PodtapError) return thrown;
  if (signal.aborted) return signal.reason;
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === "ENOSPC")
    return imageError("space", `no space left while unpacking layer ${layer.digest}`, {
      cause: thrown,
      blame: "host",
    });
  return imageError("layer", `layer ${layer.digest} cannot be unpacked: ${messageOf(thrown)}`, {
    cause: thrown,
  });
}

function tooLarge({ whole }: Budget): Error {
  return imageError(
    "space",
    `the image unpacks to more than the ${Math.floor(whole / 2 ** 20)} MiB that are free for it`,
    {
      blame: "host",
      hint: "make room under PODTAP_STATE_DIR, or move it",
    },
  );
}
