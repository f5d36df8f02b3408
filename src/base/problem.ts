/**
 * Something wrong in what a user wrote, as a value. All problems of a manifest are collected before anything
 * is touched, and CLI, API server and (later) webhook print the same list.
 */

/** `PT-<AREA>-<number>`; stable, listed in docs/reference/errors.md (a test holds list and code together). */
export type Code = `PT-${Uppercase<string>}-${number}`;

/** Kubernetes' `metav1.CauseType` values that KubeVirt's admission uses. */
export type CauseReason =
  | "FieldValueInvalid"
  | "FieldValueRequired"
  | "FieldValueDuplicate"
  | "FieldValueNotSupported"
  | "FieldValueNotFound"
  | "FieldValueForbidden";

export interface Position {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
}

export interface Problem {
  readonly code: Code;
  readonly severity: "error" | "warning";
  readonly reason: CauseReason;
  /** KubeVirt's field path: `spec.domain.devices.interfaces[0].ports[1].port`. Empty for the whole document. */
  readonly field: string;
  readonly message: string;
  /** What to do about it, in one sentence. */
  readonly hint?: string;
  /** `kind/name` of the object, when there are several. */
  readonly object?: string;
  readonly at?: Position;
}

export function isError(problem: Problem): boolean {
  return problem.severity === "error";
}
