/**
 * A tar stream, entry by entry, from somebody who is not trusted.
 *
 * Theory of operation. tar is 512-byte blocks: a header, then the content rounded up to blocks. Longer names come as
 * entries of their own before the one they belong to: pax (type `x`, "LENGTH key=value\n") and GNU (`L`, `K`). What
 * is kept in memory is bounded: names up to 1 MiB, content passes through in the chunks it came in. Whoever visits
 * gets each entry's header and says with a sink whether it wants the content. Two zero blocks end the archive; what
 * follows is read and dropped, so that the digest of the stream is the digest of the blob.
 */
import { imageError } from "./image-error.ts";

export type TarEntryType = "file" | "hardlink" | "symlink" | "directory" | "device" | "other";

export interface TarEntry {
  /** Cleaned: no leading slash, no empty or `.` parts. `""` is the root itself. */
  readonly path: string;
  readonly type: TarEntryType;
  readonly bytes: number;
  readonly linkTarget: string;
}

export interface TarSink {
  write(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const BLOCK = 512;
const LONGEST_NAME = 1 << 20;
const TYPES: Readonly<Record<string, TarEntryType>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "device",
  "4": "device",
  "5": "directory",
  "6": "device",
};

/** @throws PodtapError PT-IMAGE-7 when this is no tar, is cut short, or names a path that leads out */
export async function readTar(
  source: AsyncIterable<Uint8Array>,
  visit: (entry: TarEntry) => TarSink | undefined,
): Promise<void> {
  const input = new BlockInput(source);
  let long: LongNames = {};
  for (;;) {
    const header = await input.take(BLOCK, "a header");
    if (header === undefined || header.every((byte) => byte === 0)) break;
    checkSum(header);
    const flag = String.fromCharCode(header[156] ?? 0);
    const bytes = long.bytes ?? sizeOf(header);
    const padded = Math.ceil(bytes / BLOCK) * BLOCK;
    if (flag === "x" || flag === "g" || flag === "L" || flag === "K") {
      if (bytes > LONGEST_NAME) throw malformed(`a name of ${bytes} bytes`);
      const data = (await input.take(padded, "a long name")) ?? new Uint8Array();
      // A global header (git archive writes one) says nothing about a file.
      if (flag !== "g") long = { ...long, ...longNames(flag, data.subarray(0, bytes)) };
      continue;
    }
    const entry = entryOf(header, flag, bytes, long);
    long = {};
    await passContent(input, entry.type === "file" ? entry.bytes : bytes, visit(entry));
  }
  await input.drain();
}

interface LongNames {
  path?: string;
  link?: string;
  bytes?: number;
}

function entryOf(header: Uint8Array, flag: string, bytes: number, long: LongNames): TarEntry {
  const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
  const short = text(header, 0, 100);
  const name = long.path ?? (prefix === "" ? short : `${prefix}/${short}`);
  return {
    path: cleanPath(name),
    type: TYPES[flag] ?? "other",
    bytes,
    linkTarget: long.link ?? text(header, 157, 100),
  };
}

async function passContent(input: BlockInput, bytes: number, sink: TarSink | undefined): Promise<void> {
  for await (const chunk of input.upTo(bytes)) if (sink !== undefined) await sink.write(chunk);
  if (sink !== undefined) await sink.end();
  for await (const _padding of input.upTo((BLOCK - (bytes % BLOCK)) % BLOCK));
}

/** Refused, not cleaned, where `..` occurs: no tool that makes images writes it. */
export function cleanPath(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes(".."))
    throw malformed(`the path ${JSON.stringify(name.slice(0, 200))}, which leads out of the image`);
  return parts.join("/");
}

function longNames(flag: string, data: Uint8Array): LongNames {
  if (flag === "L") return { path: text(data, 0, data.length) };
  if (flag === "K") return { link: text(data, 0, data.length) };
  const found: LongNames = {};
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const length = Number(decode(data.subarray(at, Math.max(at, space))));
    if (space < 0 || !Number.isInteger(length) || length <= space - at + 1 || at + length > data.length) {
      throw malformed("a pax header that does not add up");
    }
    const record = decode(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    setPax(found, record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return found;
}

function setPax(found: LongNames, key: string, value: string): void {
  if (key === "path") found.path = value;
  if (key === "linkpath") found.link = value;
  if (key === "size") {
    if (!/^\d{1,15}$/.test(value)) throw malformed("a pax header with a size that is no number");
    found.bytes = Number(value);
  }
  // Sparse files would need their map applied; image builders do not write them.
  if (key.startsWith("GNU.sparse.")) throw malformed("a sparse file, which image layers do not have");
}

/** Octal digits, or base 256 where the first bit is set (GNU, for more than 8 GiB). */
function sizeOf(header: Uint8Array): number {
  if (((header[124] ?? 0) & 0x80) === 0) {
    const digits = text(header, 124, 12).trim();
    if (!/^[0-7]*$/.test(digits)) throw malformed("a size that is no number");
    return digits === "" ? 0 : Number.parseInt(digits, 8);
  }
  let size = BigInt((header[124] ?? 0) & 0x7f);
  for (let i = 125; i < 136; i++) size = (size << 8n) | BigInt(header[i] ?? 0);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a size beyond all disks");
  return Number(size);
}

function checkSum(header: Uint8Array): void {
  const stated = Number.parseInt(text(header, 148, 8).trim(), 8);
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (header[i] ?? 0);
  if (sum !== stated) throw malformed("a header whose checksum is wrong");
}

function text(bytes: Uint8Array, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return decode(end < 0 ? field : field.subarray(0, end));
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function malformed(what: string): Error {
  return imageError("layer", `a layer of the image has ${what}`, {
    hint: "the image is damaged or was made to do harm; build it again",
  });
}

/** Chunks of any length in, exact lengths out. */
class BlockInput {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** undefined at the end of the stream; @throws when it ends within. */
  async take(bytes: number, what: string): Promise<Uint8Array | undefined> {
    const pieces: Uint8Array[] = [];
    let got = 0;
    for await (const piece of this.upTo(bytes, true)) {
      pieces.push(piece);
      got += piece.length;
    }
    if (got === 0 && bytes > 0) return undefined;
    if (got < bytes) throw malformed(`its end within ${what}`);
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  }

  async *upTo(bytes: number, mayEnd = false): AsyncGenerator<Uint8Array> {
    let left = bytes;
    while (left > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) {
        if (mayEnd) return;
        throw malformed("its end within a file");
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async drain(): Promise<void> {
    while (await this.#more());
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    this.#rest = done ? new Uint8Array() : value;
    return !done;
  }
}
