/** Problems as text for people, and as the body of KubeVirt's 422 answer. */
import { isError, type Problem } from "../base/problem.ts";

const CAUSES_MAX = 10;
const COLOURS = { error: "31", warning: "33", dim: "2" } as const;

export interface FormatOptions {
  readonly color: boolean;
}

/**
 * In the order of the files, one problem a line with its hint below it, and a count at the end:
 *
 *     vm.yaml:12:9  error  PT-NET-12  spec.domain.devices.interfaces[0].name: Masquerade interface only …
 *                   Use `bridge: {}` on a multus network, or put this NIC on `pod: {}`.
 */
export function formatProblems(problems: readonly Problem[], { color }: FormatOptions): string {
  if (problems.length === 0) return "";
  const paint = (style: keyof typeof COLOURS, text: string): string =>
    color ? `\x1b[${COLOURS[style]}m${text}\x1b[0m` : text;
  const lines = sortProblems(problems).flatMap((problem) => {
    const place = placeOf(problem);
    const field = problem.field === "" ? "" : `${problem.field}: `;
    const hint =
      problem.hint === undefined
        ? []
        : [`${" ".repeat(place.length)}  ${paint("dim", visible(problem.hint))}`];
    const severity = paint(problem.severity, problem.severity);
    return [`${place}  ${severity}  ${problem.code}  ${visible(`${field}${problem.message}`)}`, ...hint];
  });
  return `${[...lines, countOf(problems)].join("\n")}\n`;
}

/** By position; what has none keeps its order, behind. */
export function sortProblems(problems: readonly Problem[]): readonly Problem[] {
  const files = new Map<string, number>();
  for (const { at } of problems) if (at !== undefined && !files.has(at.file)) files.set(at.file, files.size);
  const rank = ({ at }: Problem): readonly number[] =>
    at === undefined ? [files.size, 0, 0] : [files.get(at.file) ?? 0, at.line, at.column];
  return [...problems].sort((a, b) => {
    const [fileA = 0, lineA = 0, columnA = 0] = rank(a);
    const [fileB = 0, lineB = 0, columnB = 0] = rank(b);
    return fileA - fileB || lineA - lineB || columnA - columnB;
  });
}

function placeOf({ at, object }: Problem): string {
  return at === undefined ? visible(object ?? "-") : `${visible(at.file)}:${at.line}:${at.column}`;
}

function countOf(problems: readonly Problem[]): string {
  const errors = problems.filter(isError).length;
  const warnings = problems.length - errors;
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
  return [
    ...(errors > 0 ? [count(errors, "error")] : []),
    ...(warnings > 0 ? [count(warnings, "warning")] : []),
  ].join(", ");
}

/** Manifests are strangers' text: no line breaks, no terminal commands. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) =>
    char === "\n" || char === "\t" ? " " : `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

export interface RejectionStatus {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly status: "Failure";
  readonly message: string;
  readonly reason: "Invalid";
  readonly code: 422;
  readonly details: { readonly causes: readonly StatusCause[] };
}

/** KubeVirt's rejection (`pkg/util/webhooks/webhooks.go`): the first ten causes; errors only, warnings do not reject. */
export function toStatusCauses(problems: readonly Problem[]): RejectionStatus {
  const errors = problems.filter(isError);
  const causes = errors
    .slice(0, CAUSES_MAX)
    .map(({ reason, message, field }) => ({ reason, message, field }));
  const more = errors.length - causes.length;
  const messages = causes.map(({ message }) => message);
  const rest = more > 0 ? [`and ${more} more validation errors`] : [];
  return {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: [...messages, ...rest].join(", "),
    reason: "Invalid",
    code: 422,
    details: { causes },
  };
}
