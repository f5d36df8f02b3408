/** Writing answers: JSON, warnings as headers, errors as Status. */
import type { ServerResponse } from "node:http";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { Problem } from "../../base/problem.ts";
import { ApiError } from "../api-error.ts";

export type Format = "json" | "table" | "metadata" | "discovery";

/** The first form in the Accept header that we can make (RFC 9110, 12.5.1, without weights: nobody sends them). */
export function negotiate(accept: string | undefined): Format {
  if (accept === undefined || accept.trim() === "") return "json";
  for (const offer of accept.split(",")) {
    const [type = "", ...parameters] = offer.split(";").map((part) => part.trim().toLowerCase());
    if (type === "*/*" || type === "application/*") return "json";
    if (type !== "application/json") continue;
    const format = formatOf(parameters);
    if (format !== undefined) return format;
  }
  throw new ApiError(
    406,
    "NotAcceptable",
    "only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io",
  );
}

function formatOf(parameters: readonly string[]): Format | undefined {
  const as = parameters.find((it) => it.startsWith("as="))?.slice(3);
  if (as === undefined) return "json";
  if (as === "apigroupdiscoverylist") return parameters.includes("v=v2") ? "discovery" : undefined;
  if (!parameters.includes("v=v1")) return undefined;
  if (as === "table") return "table";
  return as.startsWith("partialobjectmetadata") ? "metadata" : undefined;
}

export function answerBody(
  response: ServerResponse,
  status: number,
  body: string | Buffer | object,
  contentType = "application/json",
): void {
  const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-cache, private",
  });
  response.end(text);
}

/** RFC 7234's Warning header, code 299, as Kubernetes sends them; kubectl prints each on stderr. */
export function setWarnings(response: ServerResponse, warnings: readonly Problem[]): void {
  if (warnings.length === 0) return;
  const lines = warnings.map(({ message }) => `299 - "${quotable(message)}"`);
  response.setHeader("warning", [...new Set(lines)]);
}

function quotable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").replace(/[\\"]/g, "\\$&");
}

export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const hint = thrown instanceof PodtapError ? thrown.hint : undefined;
  const code = thrown instanceof PodtapError ? ` (${thrown.code})` : "";
  return new ApiError(500, "InternalError", `${messageOf(thrown)}${code}`, {
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
  });
}

export function answerError(response: ServerResponse, thrown: unknown): void {
  const error = toApiError(thrown);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  // What is left of a body that was refused is not read; the connection cannot be used again.
  if (error.status === 413) response.setHeader("connection", "close");
  answerBody(response, error.status, error.toStatus());
}
