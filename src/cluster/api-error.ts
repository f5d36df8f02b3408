/**
 * A refusal as the Kubernetes API words it: one `Status` body, thrown as an error inside the process and sent
 * as JSON over the wire. Both backends and the CLI's client use it, so that a caller handles one type whether
 * the cluster is in this process, behind a socket or behind an API server.
 */
import { PodtapError, type Retry } from "../base/errors.ts";
import { isError, type Problem } from "../base/problem.ts";
import type { Resource } from "./port.ts";

export type StatusReason =
  | "BadRequest"
  | "Forbidden"
  | "NotFound"
  | "MethodNotAllowed"
  | "NotAcceptable"
  | "AlreadyExists"
  | "Conflict"
  | "Expired"
  | "RequestEntityTooLarge"
  | "UnsupportedMediaType"
  | "Invalid"
  | "InternalError"
  | "ServiceUnavailable"
  | "Timeout";

interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
  /** Ours, beside what Kubernetes has: what to do about it. kubectl drops what it does not know. */
  readonly hint?: string;
  /** Ours: the stable code of the problem. */
  readonly code?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
}

/** `metav1.Status`. */
export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: object;
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

export class ApiError extends PodtapError {
  /** Tells apart what shares a code: 409 is `AlreadyExists` or `Conflict`. */
  readonly reason: string;
  readonly status: number;
  readonly details: StatusDetails | undefined;

  constructor(
    status: number,
    reason: StatusReason | (string & {}),
    message: string,
    extra: { readonly details?: StatusDetails; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super({
      code: `PT-API-${status}`,
      message,
      retry: RETRY[reason] ?? "never",
      blame: status === 422 || status === 400 ? "manifest" : "cluster",
      ...(extra.hint === undefined ? {} : { hint: extra.hint }),
      ...(extra.cause === undefined ? {} : { cause: extra.cause }),
    });
    this.name = "ApiError";
    this.reason = reason;
    this.status = status;
    this.details = extra.details;
  }

  toStatus(): Status {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.hint === undefined ? this.message : `${this.message} (${this.hint})`,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.status,
    };
  }
}

const RETRY: Readonly<Record<string, Retry>> = {
  Conflict: "soon",
  Expired: "soon",
  Timeout: "soon",
  ServiceUnavailable: "soon",
  NotFound: "on-change",
  AlreadyExists: "on-change",
  Invalid: "on-change",
};

/** An error from a Status body that came over the wire. */
export function apiErrorFrom(httpStatus: number, body: Partial<Status>): ApiError {
  return new ApiError(
    body.code ?? httpStatus,
    body.reason ?? "InternalError",
    body.message ?? `the server answered ${httpStatus}`,
    body.details === undefined ? {} : { details: body.details },
  );
}

export function isNotFound(thrown: unknown): boolean {
  return thrown instanceof ApiError && thrown.reason === "NotFound";
}

export function isConflict(thrown: unknown): boolean {
  return thrown instanceof ApiError && thrown.reason === "Conflict";
}

export function isAlreadyExists(thrown: unknown): boolean {
  return thrown instanceof ApiError && thrown.reason === "AlreadyExists";
}

/** `virtualmachines.kubevirt.io`, `pods`: how Kubernetes' messages and this store name a resource. */
export function groupResource(resource: Resource): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

function detailsOf(resource: Resource, name: string): StatusDetails {
  return { name, ...(resource.group === "" ? {} : { group: resource.group }), kind: resource.plural };
}

export function notFound(resource: Resource, name: string): ApiError {
  return new ApiError(404, "NotFound", `${groupResource(resource)} "${name}" not found`, {
    details: detailsOf(resource, name),
  });
}

export function unknownResource(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource");
}

export function alreadyExists(resource: Resource, name: string): ApiError {
  return new ApiError(409, "AlreadyExists", `${groupResource(resource)} "${name}" already exists`, {
    details: detailsOf(resource, name),
  });
}

const MODIFIED =
  "the object has been modified; please apply your changes to the latest version and try again";

export function conflict(resource: Resource, name: string, why: string = MODIFIED): ApiError {
  return new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${groupResource(resource)} "${name}": ${why}`,
    {
      details: detailsOf(resource, name),
    },
  );
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

export function expired(asked: string, oldest: number): ApiError {
  return new ApiError(410, "Expired", `too old resource version: ${asked} (${oldest})`);
}

export function unsupportedMediaType(got: string, accepted: readonly string[]): ApiError {
  return new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format (${got === "" ? "no content-type" : got}) - accepted media types include: ${accepted.join(", ")}`,
  );
}

const MAX_CAUSES = 10;

/**
 * KubeVirt's rejection (`pkg/util/webhooks/webhooks.go: ValidationErrorsToAdmissionResponse`): the first ten
 * causes, their messages joined with a comma, and how many more there were.
 */
export function invalid(resource: Resource, name: string, problems: readonly Problem[]): ApiError {
  const errors = problems.filter(isError);
  const causes = errors.slice(0, MAX_CAUSES).map(({ reason, message, field, hint, code }) => ({
    reason,
    message,
    ...(field === "" ? {} : { field }),
    ...(hint === undefined ? {} : { hint }),
    code,
  }));
  const more = errors.length > MAX_CAUSES ? `, and ${errors.length - MAX_CAUSES} more validation errors` : "";
  return new ApiError(422, "Invalid", causes.map(({ message }) => message).join(", ") + more, {
    details: {
      name,
      ...(resource.group === "" ? {} : { group: resource.group }),
      kind: resource.kind,
      causes,
    },
  });
}
