/**
 * OCI image layouts (image-spec, `image-layout.md`): from a tag to the layers of one image. Documents are read with a
 * limit on their size and only if their digest is the one that was asked for.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { messageOf } from "../../base/errors.ts";
import { imageError } from "./image-error.ts";

export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  readonly bytes: number;
}

export interface LayoutImage {
  readonly layout: string;
  /** What the tag points to: an index where the image has several platforms. Identifies the image in caches. */
  readonly digest: string;
  readonly layers: readonly Descriptor[];
}

const REF_NAME = "org.opencontainers.image.ref.name";
const LARGEST_DOCUMENT = 4 << 20;
const INDEX_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

/**
 * @param tag left out: the layout's only image
 * @throws PodtapError PT-IMAGE-4 or PT-IMAGE-5
 */
export async function openLayoutImage(layout: string, tag: string | undefined): Promise<LayoutImage> {
  const index = asIndex(await readDocument(join(layout, "index.json"), `OCI layout ${layout}`), layout);
  const entry = entryOf(index, tag, layout);
  const manifest = await platformManifest(layout, entry, 0);
  const layers = manifest["layers"];
  if (!Array.isArray(layers)) throw malformed(layout, `manifest ${entry.digest} lists no layers`);
  return { layout, digest: entry.digest, layers: layers.map((layer) => descriptor(layer, layout)) };
}

/** Tags of a layout, for messages and for looking an image up by its full name. */
export async function layoutTags(layout: string): Promise<readonly string[]> {
  const index = asIndex(await readDocument(join(layout, "index.json"), `OCI layout ${layout}`), layout);
  return index.map(refName).filter((name) => name !== undefined);
}

export function blobStream(layout: string, digest: string): Readable {
  return createReadStream(blobPath(layout, digest), { highWaterMark: 1 << 20 });
}

/** Docker calls it arm64 and amd64, Node arm64 and x64. */
export function ociArchitecture(nodeArchitecture: string = process.arch): string {
  return nodeArchitecture === "x64" ? "amd64" : nodeArchitecture;
}

type Json = Readonly<Record<string, unknown>>;

function entryOf(entries: readonly Json[], tag: string | undefined, layout: string): Descriptor {
  const tagged = entries.filter((entry) => tag !== undefined && refName(entry) === tag);
  const chosen = tag === undefined && entries.length === 1 ? entries[0] : tagged[0];
  if (chosen !== undefined) return descriptor(chosen, layout);
  const names = entries.map(refName).filter((name) => name !== undefined);
  const wanted = tag === undefined ? "has several images" : `has no image tagged ${tag}`;
  throw imageError(
    "layout",
    `OCI layout ${layout} ${wanted}; it has ${names.join(", ") || "none with a tag"}`,
    {
      hint: `name one: oci:${layout}:TAG`,
    },
  );
}

async function platformManifest(layout: string, entry: Descriptor, depth: number): Promise<Json> {
  const document = await readBlobDocument(layout, entry);
  const isIndex = INDEX_TYPES.includes(entry.mediaType) || Array.isArray(document["manifests"]);
  if (!isIndex) return document;
  if (depth > 3) throw malformed(layout, `index ${entry.digest} leads from index to index`);
  const wanted = ociArchitecture();
  const manifests = (Array.isArray(document["manifests"]) ? document["manifests"] : []).filter(isObject);
  const fitting = manifests.find((one) => {
    const platform = isObject(one["platform"]) ? one["platform"] : {};
    return platform["architecture"] === wanted && platform["os"] === "linux";
  });
  if (fitting !== undefined) return platformManifest(layout, descriptor(fitting, layout), depth + 1);
  const found = manifests.map((one) => {
    const platform = isObject(one["platform"]) ? one["platform"] : {};
    return `${platform["os"]}/${platform["architecture"]}`;
  });
  throw imageError(
    "layout",
    `image ${entry.digest} has no linux/${wanted}; it has ${found.join(", ") || "nothing"}`,
  );
}

function descriptor(value: unknown, layout: string): Descriptor {
  if (!isObject(value)) throw malformed(layout, "a descriptor is not an object");
  const { digest, size, mediaType } = value;
  if (typeof digest !== "string" || !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw malformed(layout, `digest ${JSON.stringify(digest)} is not a SHA-256`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw malformed(layout, `descriptor ${digest} has no size`);
  }
  return { digest, bytes: size, mediaType: typeof mediaType === "string" ? mediaType : "" };
}

async function readBlobDocument(layout: string, { digest }: Descriptor): Promise<Json> {
  const bytes = await readLimited(blobPath(layout, digest), `blob ${digest} of ${layout}`);
  const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (actual !== digest)
    throw imageError("digest", `blob ${digest} of ${layout} is not what its digest says: ${actual}`);
  return parse(bytes, layout);
}

async function readDocument(path: string, what: string): Promise<Json> {
  return parse(await readLimited(path, what), path);
}

async function readLimited(path: string, what: string): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const buffer = Buffer.alloc(LARGEST_DOCUMENT + 1);
      let filled = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
        filled += bytesRead;
        if (bytesRead === 0 || filled > LARGEST_DOCUMENT) break;
      }
      if (filled > LARGEST_DOCUMENT) throw new Error(`larger than ${LARGEST_DOCUMENT} bytes`);
      return buffer.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (thrown) {
    throw imageError("layout", `${what} cannot be read: ${messageOf(thrown)}`, {
      cause: thrown,
      hint: "check the path; an OCI layout is a folder with oci-layout, index.json and blobs/",
    });
  }
}

function parse(bytes: Buffer, where: string): Json {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (isObject(value)) return value;
  } catch (thrown) {
    throw imageError("layout", `${where} is not JSON: ${messageOf(thrown)}`, { cause: thrown });
  }
  throw malformed(where, "the document is not an object");
}

function asIndex(document: Json, layout: string): readonly Json[] {
  const manifests = document["manifests"];
  if (!Array.isArray(manifests)) throw malformed(layout, "index.json lists no manifests");
  return manifests.filter(isObject);
}

function refName(entry: Json): string | undefined {
  const annotations = entry["annotations"];
  const name = isObject(annotations) ? annotations[REF_NAME] : undefined;
  return typeof name === "string" ? name : undefined;
}

/** The digest was checked to be hexadecimal before it comes here. */
function blobPath(layout: string, digest: string): string {
  return join(layout, "blobs", "sha256", digest.slice("sha256:".length));
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(layout: string, what: string): Error {
  return imageError("layout", `OCI layout ${layout} is malformed: ${what}`);
}
