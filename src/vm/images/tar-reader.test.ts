import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tarOf } from "../../../test/support/oci-layout.ts";
import { readTar, type TarEntry } from "./tar-reader.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(tar: Uint8Array, pieceBytes = 1000): Promise<{ entry: TarEntry; content: string }[]> {
  const found: { entry: TarEntry; content: string }[] = [];
  await readTar(pieces(tar, pieceBytes), (entry) => {
    const one = { entry, content: "" };
    found.push(one);
    return {
      write: async (chunk) => {
        one.content += Buffer.from(chunk).toString("latin1");
      },
      end: async () => undefined,
    };
  });
  return found;
}

test("a tar is read the same however it is cut into chunks, long names included", async () => {
  const long = `${"d".repeat(120)}/${"n".repeat(200)}`;
  const tar = await tarOf(
    { name: "./a", content: "x".repeat(1500) },
    { name: long, content: "deep" },
    { name: "b" },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4000 }), async (size) => {
      const found = await read(tar, size);
      assert.deepEqual(
        found.map(({ entry, content }) => [entry.path, content.length]),
        [
          ["a", 1500],
          [long, 4],
          ["b", 0],
        ],
      );
    }),
    { numRuns: 20 },
  );
});

test("a path that leads out of the image is refused", async () => {
  for (const name of ["../x", "a/../../x", "/../x", "a/.."]) {
    await assert.rejects(read(await tarOf({ name, content: "x" })), { code: "PT-IMAGE-7" }, name);
  }
});

test("a damaged tar is refused, never guessed at", async () => {
  const tar = Buffer.from(await tarOf({ name: "a", content: "x".repeat(2000) }));
  const wrongSum = Buffer.from(tar);
  wrongSum[0] = 0x62;
  await assert.rejects(read(wrongSum), /checksum/);
  await assert.rejects(read(tar.subarray(0, 1200)), /its end within a file/);
  await assert.rejects(read(tar.subarray(0, 300)), /its end within a header/);
  await assert.rejects(read(Buffer.from("#!/bin/sh\necho I am no tar\n".repeat(50))), { code: "PT-IMAGE-7" });
});

test("a name of gigabytes is refused before it is read", async () => {
  const tar = Buffer.from(await tarOf({ name: "n".repeat(300), content: "x" }));
  // The pax header claims 8 GiB less one byte.
  tar.write("77777777777\0", 124, "latin1");
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : tar[i]!;
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  await assert.rejects(read(tar), /a name of 8589934591 bytes/);
});

test("any bytes give entries or PT-IMAGE-7, never another failure", async () => {
  const valid = Buffer.from(await tarOf({ name: "disk/disk.img", content: "x".repeat(100) }));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(1535), fc.nat(255)), { maxLength: 6 }), async (edits) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of edits) bytes[at] = value;
      await read(bytes).catch((thrown) => assert.equal(thrown.code, "PT-IMAGE-7", String(thrown)));
    }),
  );
});
