import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { diskFormat } from "../images/disk-format.ts";
import { encodeQcow2 } from "./qcow2.ts";

test("a new qcow2 has the size that was asked for, rounded up to sectors, for all sizes up to 1 TiB", () => {
  fc.assert(
    fc.property(
      fc.maxSafeInteger().map((n) => 1 + (Math.abs(n) % 2 ** 40)),
      (virtualBytes) => {
        const image = encodeQcow2({ virtualBytes });
        const { format, virtualBytes: found } = diskFormat(image.subarray(0, 112), image.length, "disk");
        assert.equal(format, "qcow2");
        assert.ok(found >= virtualBytes && found < virtualBytes + 512 && found % 512 === 0);
        assert.equal(image.length % 65536, 0);
      },
    ),
    { numRuns: 50 },
  );
  assert.throws(() => encodeQcow2({ virtualBytes: 2 ** 51 + 1 }), { code: "PT-DISK-5" });
  assert.throws(() => encodeQcow2({ virtualBytes: 0 }), { code: "PT-DISK-5" });
});

test("a backing file's name that QEMU could not hold is refused", () => {
  const backing = { path: `/${"x".repeat(1023)}`, format: "raw" as const };
  assert.throws(() => encodeQcow2({ virtualBytes: 512, backing }), { code: "PT-DISK-5" });
});
