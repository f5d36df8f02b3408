/**
 * Kubernetes quantities (`resource.Quantity`): `4Gi`, `1024M`, `1e3`, `250m`. Exact, in billionths, so that
 * rounding is Kubernetes' own: up.
 */

const SUFFIXES: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 10n ** 3n,
  m: 10n ** 6n,
  "": 10n ** 9n,
  k: 10n ** 12n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
  Ki: (10n ** 9n) << 10n,
  Mi: (10n ** 9n) << 20n,
  Gi: (10n ** 9n) << 30n,
  Ti: (10n ** 9n) << 40n,
  Pi: (10n ** 9n) << 50n,
  Ei: (10n ** 9n) << 60n,
};
const FORM = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]?|[KMGTPE]i)|[eE]([+-]?\d{1,4}))$/;
/** Kubernetes keeps at most this many digits and saturates at 2^63-1; both stop hostile exponents. */
const MAX_DIGITS = 64;
const MAX_VALUE = 2n ** 63n - 1n;

/** In billionths; undefined when the text is no quantity. */
function parseNano(quantity: string | number): bigint | undefined {
  const text = String(quantity);
  if (text.length > MAX_DIGITS) return undefined;
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = "", suffix = "", exponent] = match;
  if (whole === "" && fraction === "") return undefined;
  const unit = suffixUnit(suffix, exponent);
  if (unit === undefined) return undefined;
  const digits = BigInt(whole + fraction) * unit.numerator;
  const divisor = 10n ** BigInt(fraction.length) * unit.denominator;
  const rounded = digits / divisor + (digits % divisor === 0n ? 0n : 1n);
  return sign === "-" ? -rounded : rounded;
}

function suffixUnit(
  suffix: string,
  exponent: string | undefined,
): { readonly numerator: bigint; readonly denominator: bigint } | undefined {
  if (exponent === undefined) {
    const numerator = Object.hasOwn(SUFFIXES, suffix) ? SUFFIXES[suffix] : undefined;
    return numerator === undefined ? undefined : { numerator, denominator: 1n };
  }
  const power = Math.max(-64, Math.min(64, Number(exponent)));
  return power < 0
    ? { numerator: 10n ** 9n, denominator: 10n ** BigInt(-power) }
    : { numerator: 10n ** BigInt(9 + power), denominator: 1n };
}

function roundUp(nano: bigint, unit: bigint): number {
  const value = nano / unit + (nano > 0n && nano % unit !== 0n ? 1n : 0n);
  return Number(value > MAX_VALUE ? MAX_VALUE : value);
}

/** Bytes, pieces, whole CPUs: rounded up, as Kubernetes' `Value()`; undefined when it is no quantity. */
export function quantityValue(quantity: string | number): number | undefined {
  const nano = parseNano(quantity);
  return nano === undefined ? undefined : roundUp(nano, 10n ** 9n);
}

/** Thousandths, as Kubernetes' `MilliValue()`; for CPU. */
export function quantityMilli(quantity: string | number): number | undefined {
  const nano = parseNano(quantity);
  return nano === undefined ? undefined : roundUp(nano, 10n ** 6n);
}

export function isQuantity(quantity: string | number): boolean {
  return parseNano(quantity) !== undefined;
}
