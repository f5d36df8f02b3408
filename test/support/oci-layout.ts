/** Image layouts for tests: honest ones and such as an attacker would make. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Header, pack } from "tar-stream";

export interface TestEntry extends Partial<Omit<Header, "name">> {
  readonly name: string;
  readonly content?: string | Uint8Array;
}

export type Compression = "none" | "gzip" | "zstd";

export interface TestLayer {
  readonly tar: Uint8Array;
  readonly compression?: Compression;
  /** Instead of the true digest, length or content. */
  readonly lies?: { readonly digest?: string; readonly size?: number; readonly content?: Uint8Array };
}

export interface TestImage {
  readonly tag: string;
  readonly layers: readonly TestLayer[];
  /** As an index of platforms, of which this is the machine's. */
  readonly platforms?: readonly string[];
}

export async function tarOf(...entries: readonly TestEntry[]): Promise<Uint8Array> {
  const archive = pack();
  for (const { content, ...header } of entries) {
    archive.entry({ ...header } as Header, Buffer.from(content ?? ""));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function layerOf(...entries: readonly TestEntry[]): Promise<TestLayer> {
  return { tar: await tarOf(...entries) };
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Writes the layout; returns its path. */
export function writeLayout(folder: string, ...images: readonly TestImage[]): string {
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const manifests = images.map((image) => ({
    ...writeImage(folder, image),
    annotations: { "org.opencontainers.image.ref.name": image.tag },
  }));
  writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  return folder;
}

function writeImage(folder: string, { layers, platforms }: TestImage): object {
  const blobs = layers.map((layer) => {
    const bytes = compress(layer.tar, layer.compression ?? "none");
    const digest = layer.lies?.digest ?? digestOf(bytes);
    put(folder, digest, layer.lies?.content ?? bytes);
    const mediaType = "application/vnd.oci.image.layer.v1.tar";
    return { mediaType, digest, size: layer.lies?.size ?? bytes.length };
  });
  const config = document(folder, "application/vnd.oci.image.config.v1+json", {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => digestOf(tar)) },
  });
  const type = "application/vnd.oci.image.manifest.v1+json";
  const manifest = document(folder, type, { schemaVersion: 2, mediaType: type, config, layers: blobs });
  if (platforms === undefined) return manifest;
  const entries = platforms.map((architecture) => ({ ...manifest, platform: { os: "linux", architecture } }));
  return document(folder, "application/vnd.oci.image.index.v1+json", {
    schemaVersion: 2,
    manifests: entries,
  });
}

function document(folder: string, mediaType: string, value: object): object {
  const bytes = Buffer.from(JSON.stringify(value));
  put(folder, digestOf(bytes), bytes);
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function put(folder: string, digest: string, bytes: Uint8Array): void {
  writeFileSync(join(folder, "blobs/sha256", digest.replace("sha256:", "")), bytes);
}

function compress(bytes: Uint8Array, compression: Compression): Uint8Array {
  if (compression === "gzip") return gzipSync(bytes);
  return compression === "zstd" ? zstdCompressSync(bytes) : bytes;
}
