/** Errors of images: every one names the image, and `failureReason` takes the area for "ErrImagePull". */
import { type ErrorFacts, PodtapError } from "../../base/errors.ts";

export type ImageErrorKind =
  | "reference"
  | "absent"
  | "pull"
  | "layout"
  | "digest"
  | "path"
  | "layer"
  | "space"
  | "format";

const CODES = {
  reference: "PT-IMAGE-1",
  absent: "PT-IMAGE-2",
  pull: "PT-IMAGE-3",
  layout: "PT-IMAGE-4",
  digest: "PT-IMAGE-5",
  path: "PT-IMAGE-6",
  layer: "PT-IMAGE-7",
  space: "PT-IMAGE-8",
  format: "PT-IMAGE-9",
} as const;

export function imageError(
  kind: ImageErrorKind,
  message: string,
  more: Partial<Omit<ErrorFacts, "code" | "message">> = {},
): PodtapError {
  return new PodtapError({ code: CODES[kind], message, blame: "manifest", retry: "on-change", ...more });
}
