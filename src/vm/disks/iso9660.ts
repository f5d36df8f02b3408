/**
 * A small CD image: a few files in a few folders, with Rock Ridge names for Linux and Joliet names for Windows.
 *
 * Theory of operation (ECMA-119, IEEE P1282, Joliet). Sectors of 2048 bytes:
 *
 *   0-15 empty · 16 primary volume · 17 Joliet volume · 18 end of volumes · 19, 20 path table, little and big endian ·
 *   21, 22 the same for Joliet · 23 root folder · 24 root folder with UCS-2 names · two more for every further folder ·
 *   content of the files
 *
 * Numbers stand in both byte orders. Plain ISO names are 8 upper-case letters, so the real name of a file comes from
 * Rock Ridge's NM entry behind the record, or from Joliet. A folder fills one sector: enough for 15 files with names
 * of 40 characters, and more is refused. The result depends on the input alone.
 */
import { PodtapError } from "../../base/errors.ts";

export interface IsoFile {
  /** With slashes for folders: `openstack/latest/user_data`. */
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

type Tree = "primary" | "joliet";

export function encodeIso(label: string, files: readonly IsoFile[]): Uint8Array {
  const folders = foldersOf(files);
  const extents: number[] = [];
  let next = PRIMARY_ROOT + 2 * folders.length;
  for (const { content } of files) {
    extents.push(next);
    next += Math.ceil(content.length / SECTOR);
  }
  const image = new Uint8Array((next + PADDING_SECTORS) * SECTOR);
  const put = (sector: number, bytes: Uint8Array): void => image.set(bytes, sector * SECTOR);
  for (const [tree, volume, table] of [
    ["primary", 16, 19],
    ["joliet", 17, 21],
  ] as const) {
    const paths = pathTable(folders, tree, true);
    put(
      volume,
      volumeDescriptor({ joliet: tree === "joliet", label, sectors: next, pathBytes: paths.length }),
    );
    put(table, paths);
    put(table + 1, pathTable(folders, tree, false));
  }
  put(18, Uint8Array.of(255, ...ascii("CD001"), 1));
  for (const folder of folders) {
    const entries = entriesOf(folder, folders, files, extents);
    put(folderExtent(folder, "primary"), inOneSector(primaryRecords(folder, folders, entries)));
    put(folderExtent(folder, "joliet"), inOneSector(jolietRecords(folder, folders, entries)));
  }
  for (const [i, { content }] of files.entries()) put(extents[i] ?? 0, content);
  return image;
}

interface Folder {
  /** Empty for the root. */
  readonly path: string;
  readonly name: string;
  readonly index: number;
  /** Index of the folder it is in; the root is in itself. */
  readonly parent: number;
}

/** Parents first, as path tables want them. */
function foldersOf(files: readonly IsoFile[]): readonly Folder[] {
  const paths = new Set<string>();
  for (const { name } of files) {
    for (let at = name.indexOf("/"); at !== -1; at = name.indexOf("/", at + 1)) paths.add(name.slice(0, at));
  }
  const depth = (path: string): number => path.split("/").length;
  const sorted = ["", ...[...paths].sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))];
  return sorted.map((path, index) => ({
    path,
    name: baseName(path),
    index,
    parent: sorted.indexOf(parentOf(path)),
  }));
}

function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function folderExtent({ index }: Folder, tree: Tree): number {
  return (tree === "primary" ? PRIMARY_ROOT : JOLIET_ROOT) + 2 * index;
}

interface Entry {
  readonly name: string;
  readonly short: string;
  /** A folder, which has an extent in each tree, or where a file's content is. */
  readonly at: Folder | { readonly extent: number; readonly bytes: number };
}

function entriesOf(
  folder: Folder,
  folders: readonly Folder[],
  files: readonly IsoFile[],
  extents: readonly number[],
): readonly Entry[] {
  const inside = folders.filter((other) => other.parent === folder.index && other !== folder);
  const found = [
    ...inside.map((at) => ({ name: at.name, at })),
    ...files.flatMap(({ name, content }, i) =>
      parentOf(name) === folder.path
        ? [{ name: baseName(name), at: { extent: extents[i] ?? 0, bytes: content.length } }]
        : [],
    ),
  ];
  return found.map((entry, i) => ({ ...entry, short: shortName(entry.name, i) }));
}

/** Unique, and sorted as the records must be: by a number in front. */
function shortName(name: string, index: number): string {
  return `${String(index).padStart(2, "0")}${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`.slice(0, 8);
}

function primaryRecords(
  folder: Folder,
  folders: readonly Folder[],
  entries: readonly Entry[],
): readonly Uint8Array[] {
  const sharing = folder.index === 0 ? susp("SP", 1, [0xbe, 0xef, 0]) : [];
  const extension = folder.index === 0 ? extensionReference() : [];
  const parent = folders[folder.parent] ?? folder;
  return [
    folderRecord(folder, "primary", [0], [...sharing, ...posix(0o040555), ...extension]),
    folderRecord(parent, "primary", [1], posix(0o040555)),
    ...entries.map(({ at, name, short }) => {
      const realName = susp("NM", 1, [0, ...ascii(name)]);
      return "index" in at
        ? folderRecord(at, "primary", ascii(short), [...posix(0o040555), ...realName])
        : record({
            ...at,
            folder: false,
            name: ascii(`${short}.;1`),
            system: [...posix(0o100444), ...realName],
          });
    }),
  ];
}

function jolietRecords(
  folder: Folder,
  folders: readonly Folder[],
  entries: readonly Entry[],
): readonly Uint8Array[] {
  const sorted = [...entries].sort((a, b) => (a.name < b.name ? -1 : 1));
  return [
    folderRecord(folder, "joliet", [0], []),
    folderRecord(folders[folder.parent] ?? folder, "joliet", [1], []),
    ...sorted.map(({ at, name }) =>
      "index" in at
        ? folderRecord(at, "joliet", ucs2(name), [])
        : record({ ...at, folder: false, name: ucs2(name), system: [] }),
    ),
  ];
}

function folderRecord(
  folder: Folder,
  tree: Tree,
  name: readonly number[],
  system: readonly number[],
): Uint8Array {
  return record({ extent: folderExtent(folder, tree), bytes: SECTOR, folder: true, name, system });
}

function inOneSector(records: readonly Uint8Array[]): Uint8Array {
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
  pathBytes,
}: {
  readonly joliet: boolean;
  readonly label: string;
  readonly sectors: number;
  readonly pathBytes: number;
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
  bytes.set(both32(pathBytes), 132);
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

/** ECMA-119, 9.4. */
function pathTable(folders: readonly Folder[], tree: Tree, little: boolean): Uint8Array {
  return Uint8Array.from(
    folders.flatMap((folder) => {
      const extent = folderExtent(folder, tree);
      const name = pathName(folder, folders, tree);
      return [
        name.length,
        0,
        ...(little ? little32(extent) : big32(extent)),
        ...(little ? [folder.parent + 1, 0] : [0, folder.parent + 1]),
        ...name,
        ...(name.length % 2 === 0 ? [] : [0]),
      ];
    }),
  );
}

/** As in the record of the folder it is in. */
function pathName(
  { index, name, parent }: Folder,
  folders: readonly Folder[],
  tree: Tree,
): readonly number[] {
  if (index === 0) return [0];
  if (tree === "joliet") return ucs2(name);
  const before = folders.filter((other) => other.parent === parent && other.index > 0 && other.index < index);
  return ascii(shortName(name, before.length));
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
