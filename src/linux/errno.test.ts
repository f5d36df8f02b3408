import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PodtapError } from "../base/errors.ts";
import { errnoName, errnoOf, inKernelWords, KernelError } from "./errno.ts";

test("a kernel error names operation, object, the kernel's words and the usual cause", () => {
  const error = new KernelError({ errno: 16, operation: "attach to", object: "tap0", said: "already open" });
  assert.equal(error.message, "cannot attach to tap0: resource busy or locked (EBUSY): already open");
  assert.equal(error.code, "PT-KERNEL-16");
  assert.match(error.hint ?? "", /running QEMU/);
  assert.equal(error.retry, "soon");
  assert.equal(error.blame, "host");
  assert.ok(error instanceof PodtapError);
});

test("an errno without a name keeps its number", () => {
  assert.equal(errnoName(17), "EEXIST");
  assert.equal(errnoName(11), "EAGAIN");
  assert.equal(errnoName(95), "EOPNOTSUPP");
  assert.equal(errnoName(4095), "errno 4095");
  assert.match(new KernelError({ errno: 4095, operation: "do", object: "x" }).message, /\(errno 4095\)$/);
});

test("what node:fs throws is told in the same words", () => {
  const read = () => inKernelWords("read", "the moon", () => readFileSync("/no/such/file"), "look up");
  assert.throws(read, {
    code: "PT-KERNEL-2",
    message: "cannot read the moon: no such file or directory (ENOENT)",
    hint: "look up",
  });
  const other = new RangeError("not of the kernel");
  assert.throws(
    () =>
      inKernelWords("read", "x", () => {
        throw other;
      }),
    other,
  );
  assert.equal(errnoOf(other), undefined);
  assert.equal(errnoOf("text"), undefined);
});
