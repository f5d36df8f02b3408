/**
 * A small CD image: a few files in the root folder, with Rock Ridge names for Linux and Joliet names for Windows.
 *
 * Theory of operation (ECMA-119, IEEE P1282, Joliet). Sectors of 2048 bytes:
 *
 *   0-15 empty · 16 primary volume · 17 Joliet volume · 18 end of volumes · 19, 20 path table, little and big endian ·
 *   21, 22 the same for Joliet · 23 root folder · 24 root folder with UCS-2 names · 25… content of the files
 *
 * Numbers stand in both byte orders. Plain ISO names are 8 upper-case letters, so the real name of a file comes from
 * Rock Ridge's NM entry behind the record, or from Joliet. A folder fills one sector: enough for 15 files with names
 * of 40 characters, and more is refused. The result depends on the input alone.
 */
import { PodtapError } from "../../base/errors.ts";

export interface IsoFile {
  readonly name: string;
  readonly content: Uint8Array;
}

const SECTOR = 2048;
/**
 * mkisofs pads as much. Guests read beyond the end: Linux's read-ahead did, busybox looks for labels in the first
 * 68 KiB and finds none on a shorter disk.
 */
const PADDING_SECTORS = 150;
const PRIMARY_ROOT = 23;
const JOLIET_ROOT = 24;
const FIRST_FILE = 25;

export function encodeIso(label: string, files: readonly IsoFile[]): Uint8Array {
  const extents: number[] = [];
  let next = FIRST_FILE;
  for (const { content } of files) {
    extents.push(next);
    next += Math.ceil(content.length / SECTOR);
  }
  const image = new Uint8Array((next + PADDING_SECTORS) * SECTOR);
  const put = (sector: number, bytes: Uint8Array): void => image.set(bytes, sector * SECTOR);
  put(16, volumeDescriptor({ joliet: false, label, sectors: next }));
  put(17, volumeDescriptor({ joliet: true, label, sectors: next }));
  put(18, Uint8Array.of(255, ...ascii("CD001"), 1));
  for (const [sector, root] of [
    [19, PRIMARY_ROOT],
    [21, JOLIET_ROOT],
  ] as const) {
    put(sector, pathTable(root, true));
    put(sector + 1, pathTable(root, false));
  }
  const entries = files.map((file, i) => ({ file, extent: extents[i] ?? 0, short: shortName(file.name, i) }));
  put(PRIMARY_ROOT, folder(primaryRecords(entries)));
  put(JOLIET_ROOT, folder(jolietRecords(entries)));
  for (const { file, extent } of entries) put(extent, file.content);
  return image;
}

interface Entry {
  readonly file: IsoFile;
  readonly extent: number;
  readonly short: string;
}

/** Unique, and sorted as the records must be: by a number in front. */
function shortName(name: string, index: number): string {
  return `${String(index).padStart(2, "0")}${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`.slice(0, 8);
}

function primaryRecords(entries: readonly Entry[]): Uint8Array[] {
  const sharing = [...susp("SP", 1, [0xbe, 0xef, 0]), ...posix(0o040555), ...extensionReference()];
  return [
    record({ extent: PRIMARY_ROOT, bytes: SECTOR, folder: true, name: [0], system: sharing }),
    record({ extent: PRIMARY_ROOT, bytes: SECTOR, folder: true, name: [1], system: posix(0o040555) }),
    ...entries.map(({ file, extent, short }) =>
      record({
        extent,
        bytes: file.content.length,
        folder: false,
        name: ascii(`${short}.;1`),
        system: [...posix(0o100444), ...susp("NM", 1, [0, ...ascii(file.name)])],
      }),
    ),
  ];
}

function jolietRecords(entries: readonly Entry[]): Uint8Array[] {
  const sorted = [...entries].sort((a, b) => (a.file.name < b.file.name ? -1 : 1));
  return [
    record({ extent: JOLIET_ROOT, bytes: SECTOR, folder: true, name: [0], system: [] }),
    record({ extent: JOLIET_ROOT, bytes: SECTOR, folder: true, name: [1], system: [] }),
    ...sorted.map(({ file, extent }) =>
      record({ extent, bytes: file.content.length, folder: false, name: ucs2(file.name), system: [] }),
    ),
  ];
}

function folder(records: readonly Uint8Array[]): Uint8Array {
  const all = Uint8Array.from(records.flatMap((one) => [...one]));
  if (all.length > SECTOR) {
    throw new PodtapError({
      code: "PT-DISK-6",
      message: "a CD image was asked for more files than it takes",
      blame: "podtap",
    });
  }
  return all;
}

interface RecordFacts {
  readonly extent: number;
  readonly bytes: number;
  readonly folder: boolean;
  readonly name: readonly number[];
  readonly system: readonly number[];
}

/** ECMA-119, 9.1. */
function record({ extent, bytes, folder: isFolder, name, system }: RecordFacts): Uint8Array {
  const pad = name.length % 2 === 0 ? [0] : [];
  const body = [
    0,
    ...both32(extent),
    ...both32(bytes),
    ...DATE,
    isFolder ? 2 : 0,
    0,
    0,
    ...both16(1),
    name.length,
    ...name,
    ...pad,
    ...system,
  ];
  // Records have an even length.
  if (body.length % 2 === 0) body.push(0);
  return Uint8Array.of(body.length + 1, ...body);
}

/** 2020-01-01 00:00:00 UTC in every file: an image is a function of its content. */
const DATE = [120, 1, 1, 0, 0, 0, 0];

/** SUSP entry: signature, length, version, data. */
function susp(signature: string, version: number, data: readonly number[]): number[] {
  return [...ascii(signature), data.length + 4, version, ...data];
}

/** PX: mode, links, owner, group. */
function posix(mode: number): number[] {
  return susp("PX", 1, [...both32(mode), ...both32(1), ...both32(0), ...both32(0)]);
}

/** ER: which extension the others belong to. */
function extensionReference(): number[] {
  const id = ascii("RRIP_1991A");
  return susp("ER", 1, [id.length, 0, 0, 1, ...id]);
}

/** ECMA-119, 8.4 and 8.5. */
function volumeDescriptor({
  joliet,
  label,
  sectors,
}: {
  readonly joliet: boolean;
  readonly label: string;
  readonly sectors: number;
}): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const text = (at: number, length: number, value: string): void => {
    const encoded = joliet ? ucs2(value) : ascii(value);
    for (let i = 0; i < length; i++) bytes[at + i] = encoded[i] ?? (joliet && i % 2 === 0 ? 0 : 0x20);
  };
  bytes.set([joliet ? 2 : 1, ...ascii("CD001"), 1]);
  text(8, 32, "");
  text(40, 32, label);
  bytes.set(both32(sectors), 80);
  // Escape sequence of UCS-2 level 3.
  if (joliet) bytes.set([0x25, 0x2f, 0x45], 88);
  bytes.set(both16(1), 120);
  bytes.set(both16(1), 124);
  bytes.set(both16(SECTOR), 128);
  bytes.set(both32(PATH_TABLE_BYTES), 132);
  bytes.set(little32(joliet ? 21 : 19), 140);
  bytes.set(big32(joliet ? 22 : 20), 148);
  const root = joliet ? JOLIET_ROOT : PRIMARY_ROOT;
  bytes.set(record({ extent: root, bytes: SECTOR, folder: true, name: [0], system: [] }), 156);
  for (const [at, length] of TEXT_FIELDS) text(at, length, "");
  for (const at of [813, 830]) bytes.set([...ascii("2020010100000000"), 0], at);
  for (const at of [847, 864]) bytes.set([...ascii("0000000000000000"), 0], at);
  bytes[881] = 1;
  return bytes;
}

/** Volume set, publisher, preparer, application; copyright, abstract and bibliographic file. */
const TEXT_FIELDS = [
  [190, 128],
  [318, 128],
  [446, 128],
  [574, 128],
  [702, 37],
  [739, 37],
  [776, 37],
] as const;

const PATH_TABLE_BYTES = 10;

/** The root alone. */
function pathTable(root: number, little: boolean): Uint8Array {
  return Uint8Array.from([
    1,
    0,
    ...(little ? little32(root) : big32(root)),
    ...(little ? [1, 0] : [0, 1]),
    0,
    0,
  ]);
}

function ascii(text: string): number[] {
  return Array.from(text, (char) => char.charCodeAt(0) & 0x7f);
}

function ucs2(text: string): number[] {
  return Array.from(text).flatMap((char) => [char.charCodeAt(0) >> 8, char.charCodeAt(0) & 255]);
}

function little32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255];
}

function big32(value: number): number[] {
  return little32(value).reverse();
}

function both32(value: number): number[] {
  return [...little32(value), ...big32(value)];
}

function both16(value: number): number[] {
  return [value & 255, value >> 8, value >> 8, value & 255];
}
