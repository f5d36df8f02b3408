/**
 * Medians with intervals that assume nothing about how figures are spread: between two order statistics lies the
 * median with the probability that a binomial distribution gives (Conover, Practical Nonparametric Statistics, 3.2).
 */
import { quantile } from "../statistics.ts";

export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** That the true median lies between `low` and `high`; below 0.95 where the rounds were too few for it. */
  readonly confidence: number;
}

const WANTED = 0.95;

/** NaN of nothing. */
export function medianInterval(values: readonly number[]): Interval {
  // A round without an answer tells nothing of how long one takes.
  const sorted = values.filter(Number.isFinite).toSorted((a, b) => a - b);
  const n = sorted.length;
  // Both ends move inwards while the probability of missing the median stays small enough.
  let outside = 0;
  let tail = 0.5 ** n;
  let missed = 2 * tail;
  for (let k = 1; k < n / 2; k++) {
    tail += choose(n, k) * 0.5 ** n;
    if (2 * tail > 1 - WANTED) break;
    outside = k;
    missed = 2 * tail;
  }
  return {
    median: quantile(sorted, 0.5),
    low: sorted[outside] ?? Number.NaN,
    high: sorted[n - 1 - outside] ?? Number.NaN,
    confidence: n === 0 ? 0 : Math.max(0, 1 - missed),
  };
}

/** Round by round, so that what slows a whole round slows both. */
export function ratioInterval(values: readonly number[], baseline: readonly number[]): Interval {
  return medianInterval(values.map((value, round) => value / (baseline[round] ?? Number.NaN)));
}

export type Verdict = "tie" | "slower" | "faster" | "too few rounds";

/** Of a ratio of times. An interval that holds 1 is a tie, whatever its median says. */
export function verdictOf({ low, high, confidence }: Interval): Verdict {
  if (confidence < WANTED) return "too few rounds";
  if (low <= 1 && high >= 1) return "tie";
  return low > 1 ? "slower" : "faster";
}

function choose(n: number, k: number): number {
  let product = 1;
  for (let i = 1; i <= k; i++) product = (product * (n - k + i)) / i;
  return product;
}
