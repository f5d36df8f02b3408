import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "./bytes.ts";
import { decodeDnsNames, encodeDnsName } from "./dns-names.ts";

const label = fc.stringMatching(/^[a-z0-9_-]{1,63}$/);
const name = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join("."))
  .filter((text) => text.length <= 253);

test("lists of names read back", () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 6 }), (names) => {
      assert.deepEqual(
        decodeDnsNames(concatBytes(names.flatMap((text) => encodeDnsName(text) ?? []))),
        names,
      );
    }),
  );
});

test("what has no wire form is not encoded", () => {
  for (const bad of ["", ".", "a..b", ".a", `${"x".repeat(64)}.org`, `${"abcdefg.".repeat(32)}h`]) {
    assert.equal(encodeDnsName(bad), undefined, bad);
  }
  assert.deepEqual(encodeDnsName("a.bc."), Uint8Array.of(1, 97, 2, 98, 99, 0));
});

test("compressed lists are read: the example of RFC 3397", () => {
  const wire = Uint8Array.from(Buffer.from("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04", "latin1"));
  assert.deepEqual(decodeDnsNames(wire), ["eng.apple.com", "marketing.apple.com"]);
});

test("pointers that loop, lead forward or fall off the end are refused", () => {
  for (const wire of [
    [0xc0, 0],
    [1, 97, 0xc0, 2],
    [1, 97, 0xc0, 0],
    [0xc0, 9],
    [0xc0],
    [0x80, 0],
    [5, 97],
    [1, 97],
  ]) {
    assert.equal(decodeDnsNames(Uint8Array.from(wire)), "bad-name", wire.join(" "));
  }
});

test("random bytes end, and are names or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const names = decodeDnsNames(bytes);
      assert.ok(names === "bad-name" || Array.isArray(names));
    }),
  );
});
