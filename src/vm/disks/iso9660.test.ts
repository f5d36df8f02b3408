/** Read back by the format's own rules; that guests read them: test/vm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeIso, type IsoFile } from "./iso9660.ts";

const SECTOR = 2048;
const file = (name: string, content = name): IsoFile => ({ name, content: Buffer.from(content) });

/** Every file of one of the two trees, with its path, by the records alone. */
function readTree(image: Buffer, joliet: boolean): Readonly<Record<string, string>> {
  const volume = image.subarray((joliet ? 17 : 16) * SECTOR);
  const found: Record<string, string> = {};
  const walk = (sector: number, path: string): void => {
    const folder = image.subarray(sector * SECTOR, (sector + 1) * SECTOR);
    for (let at = 0; folder[at]; at += folder[at]!) {
      const record = folder.subarray(at, at + folder[at]!);
      const name = nameOf(record, joliet);
      if (name === undefined) continue;
      const [extent, bytes] = [record.readUInt32LE(2), record.readUInt32LE(10)];
      assert.deepEqual(
        [record.readUInt32BE(6), record.readUInt32BE(14)],
        [extent, bytes],
        "both byte orders",
      );
      if (record[25] === 2) walk(extent, `${path}${name}/`);
      else found[path + name] = image.subarray(extent * SECTOR, extent * SECTOR + bytes).toString();
    }
  };
  walk(volume.readUInt32LE(158), "");
  return found;
}

function nameOf(record: Buffer, joliet: boolean): string | undefined {
  const id = record.subarray(33, 33 + record[32]!);
  if (id.length === 1 && id[0]! < 2) return undefined;
  if (joliet) return Buffer.from(id).swap16().toString("utf16le");
  const at = record.indexOf("NM");
  return record.subarray(at + 5, at + record[at + 2]!).toString();
}

/** Path and sector of every folder, by the path table of the Joliet tree. */
function pathTable(image: Buffer): readonly (readonly [string, number])[] {
  const volume = image.subarray(17 * SECTOR);
  const table = image.subarray(volume.readUInt32LE(140) * SECTOR);
  const folders: (readonly [string, number])[] = [];
  for (let at = 0; at < volume.readUInt32LE(132); ) {
    const length = table[at]!;
    const name =
      length === 1
        ? ""
        : Buffer.from(table.subarray(at + 8, at + 8 + length))
            .swap16()
            .toString("utf16le");
    const parent = folders[table.readUInt16LE(at + 6) - 1]?.[0] ?? "";
    folders.push([parent === "" ? name : `${parent}/${name}`, table.readUInt32LE(at + 2)]);
    at += 8 + length + (length % 2);
  }
  return folders;
}

test("files in the root and in folders are found by both kinds of names", () => {
  const files = [
    file("openstack/latest/meta_data.json", "{}"),
    file("openstack/latest/user_data", "x".repeat(5000)),
    file("openstack/content/0000"),
    file("read me"),
  ];
  const image = Buffer.from(encodeIso("config-2", files));
  const expected = Object.fromEntries(
    files.map(({ name, content }) => [name, Buffer.from(content).toString()]),
  );
  assert.deepEqual(readTree(image, false), expected);
  assert.deepEqual(readTree(image, true), expected);
  assert.deepEqual(
    pathTable(image).map(([path]) => path),
    ["", "openstack", "openstack/content", "openstack/latest"],
  );
  for (const [path, sector] of pathTable(image)) {
    assert.equal(image.readUInt32LE(sector * SECTOR + 2), sector, `the folder ${path} names itself first`);
  }
});

test("an image without folders is as it was before there were any", () => {
  const image = Buffer.from(encodeIso("cidata", [file("meta-data"), file("user-data")]));
  assert.deepEqual(pathTable(image), [["", 24]]);
  assert.equal(image.subarray(25 * SECTOR, 25 * SECTOR + 9).toString(), "meta-data");
});
