import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameCutter } from "./frame-cutter.ts";

function framed(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

test("whatever the chunks, all comes out in order, and only whole frames", () => {
  const body = fc.uint8Array({ minLength: 14, maxLength: 300 });
  fc.assert(
    fc.property(
      fc.array(body, { maxLength: 8 }),
      fc.array(fc.nat(200), { maxLength: 40 }),
      (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map(framed));
        const ends = new Set(bodies.map((_, i) => Buffer.concat(bodies.slice(0, i + 1).map(framed)).length));
        const cutter = new FrameCutter();
        const out: Buffer[] = [];
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          const parts = cutter.push(stream.subarray(at, at + cut));
          at += cut;
          out.push(...parts);
          const total = Buffer.concat(out).length;
          if (parts.length > 0) assert.ok(ends.has(total), `${total} is the end of a frame`);
        }
        assert.deepEqual(Buffer.concat(out), stream);
      },
    ),
  );
});

test("a length that is none is refused, and a reset begins anew", () => {
  for (const length of [0, 13, 65_601, 0xffffffff]) {
    const cutter = new FrameCutter();
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    assert.throws(() => cutter.push(bytes), RangeError, String(length));
    cutter.reset();
    const frame = framed(new Uint8Array(60));
    assert.deepEqual(Buffer.concat(cutter.push(frame)), frame);
  }
});
