import assert from "node:assert/strict";
import { test } from "node:test";
import { medianInterval, ratioInterval, verdictOf } from "./intervals.ts";

test("the interval is between the order statistics that tables of the sign test give", () => {
  // n = 6: from the smallest to the largest, 1 - 2/64; n = 10: from the 2nd to the 9th, 1 - 22/1024.
  const six = medianInterval([1, 2, 3, 4, 5, 6]);
  assert.deepEqual([six.low, six.high], [1, 6]);
  assert.ok(Math.abs(six.confidence - (1 - 2 / 64)) < 1e-9);
  const ten = medianInterval([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  assert.deepEqual([ten.median, ten.low, ten.high], [5.5, 2, 9]);
  assert.ok(Math.abs(ten.confidence - (1 - 22 / 1024)) < 1e-9);
});

test("five rounds are too few to tell", () => {
  assert.equal(verdictOf(ratioInterval([2, 2, 2, 2, 2], [1, 1, 1, 1, 1])), "too few rounds");
});

test("ratios are taken round by round, so a slow round hides nothing", () => {
  const baseline = [10, 100, 10, 100, 10, 100, 10];
  const slower = baseline.map((value) => value * 1.1);
  const ratio = ratioInterval(slower, baseline);
  assert.ok(Math.abs(ratio.low - 1.1) < 1e-9 && Math.abs(ratio.high - 1.1) < 1e-9);
  assert.equal(verdictOf(ratio), "slower");
  assert.equal(verdictOf(ratioInterval(baseline.toReversed(), baseline)), "tie");
});
