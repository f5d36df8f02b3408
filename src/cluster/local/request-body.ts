/** Request bodies: bounded, as plain JSON values that are safe to merge and to write again. */
import type { IncomingMessage } from "node:http";
import { messageOf } from "../../base/errors.ts";
import { ApiError, badRequest } from "../api-error.ts";
import { decodeKubeProtobuf, PROTOBUF } from "./protobuf-body.ts";

/** As kube-apiserver's limit for a request body (`MaxRequestBodyBytes`). */
const BODY_MAX = 3 << 20;
/** Far deeper than any manifest; recursion over what passes cannot exhaust the stack. */
const DEPTH_MAX = 100;

export function mediaTypeOf(request: IncomingMessage): string {
  return (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** Undefined for an empty body. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const bytes = await readBytes(request);
  if (mediaTypeOf(request) === PROTOBUF) return bytes.length === 0 ? undefined : decodeKubeProtobuf(bytes);
  const text = decodeText(bytes);
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badRequest(`the body of the request is not JSON: ${messageOf(cause)}`);
  }
  checkTree(value, 0);
  return value;
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new ApiError(415, "UnsupportedMediaType", `content-encoding ${encoding} is not supported`);
  }
  if (Number(request.headers["content-length"] ?? 0) > BODY_MAX) throw tooLarge();
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > BODY_MAX) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("the body of the request is not UTF-8");
  }
}

function tooLarge(): ApiError {
  return new ApiError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${BODY_MAX}`);
}

function checkTree(value: unknown, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > DEPTH_MAX)
    throw badRequest(`the body of the request is nested deeper than ${DEPTH_MAX} levels`);
  // As a key of our own objects it would set a prototype instead of a field.
  if (Object.hasOwn(value, "__proto__")) throw badRequest("__proto__ is not a key");
  for (const inner of Object.values(value)) checkTree(inner, depth + 1);
}
