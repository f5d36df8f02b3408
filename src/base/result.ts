/** A value or the problems that kept it from being made. Expected failures travel this way, not as exceptions. */
import type { Problem } from "./problem.ts";

export type Result<T> =
  | { readonly ok: true; readonly value: T; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function ok<T>(value: T, warnings: readonly Problem[] = []): Result<T> {
  return { ok: true, value, warnings };
}

export function failed<T>(...problems: readonly Problem[]): Result<T> {
  return { ok: false, problems };
}
