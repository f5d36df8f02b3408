import assert from "node:assert/strict";
import { test } from "node:test";
import { isQuantity, quantityMilli, quantityValue } from "./quantity.ts";

test("quantities are Kubernetes', rounded up", () => {
  const cases: readonly (readonly [string | number, number])[] = [
    ["4Gi", 4 * 1024 ** 3],
    ["128Mi", 128 * 1024 ** 2],
    ["1024M", 1_024_000_000],
    ["1e3", 1000],
    ["1E3", 1000],
    ["1E", 10 ** 18],
    ["2k", 2000],
    ["1.5Gi", 1.5 * 1024 ** 3],
    ["0.5", 1],
    [".5Mi", 524288],
    ["5.", 5],
    ["100m", 1],
    ["1500m", 2],
    ["-1.5", -1],
    ["+3", 3],
    [512, 512],
    ["12e-1", 2],
    ["0", 0],
    ["99Ei", Number(2n ** 63n - 1n)],
  ];
  for (const [text, value] of cases) assert.equal(quantityValue(text), value, String(text));
  assert.equal(quantityMilli("500m"), 500);
  assert.equal(quantityMilli("2"), 2000);
  assert.equal(quantityMilli("1.0001"), 1001);
});

test("what is no quantity is undefined, and hostile exponents cost nothing", () => {
  for (const text of [
    "",
    "Gi",
    "4 Gi",
    "4gi",
    "4GB",
    "1e",
    "--1",
    "1.2.3",
    ".",
    "NaN",
    "0x10",
    "1".repeat(100),
  ]) {
    assert.equal(isQuantity(text), false, text);
  }
  assert.equal(quantityValue("1e9999"), Number(2n ** 63n - 1n));
  assert.equal(quantityValue("1e-9999"), 1);
  assert.equal(isQuantity(Number.NaN), false);
});
