/**
 * kubectl's JSONPath templates, the part people use: text with `{…}` in it, fields, indexes, `[*]`,
 * `[?(@.type=="Ready")]`, `{"\n"}`, and `{range …}…{end}`.
 */
import { usageError } from "./failure.ts";

type Step =
  | { readonly type: "field"; readonly name: string }
  | { readonly type: "index"; readonly index: number }
  | { readonly type: "all" }
  | {
      readonly type: "filter";
      readonly path: readonly Step[];
      readonly equal: boolean;
      readonly value: unknown;
    };

type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "path"; readonly steps: readonly Step[] }
  | { readonly type: "range"; readonly steps: readonly Step[]; readonly body: readonly Part[] };

/** `{.status.phase}` of an object, as text. */
export function renderJsonPath(template: string, value: unknown): string {
  const tokens = [...template.matchAll(/\{((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^{}"'])*)\}|[^{]+|\{/g)];
  const parts = parseParts(tokens, { at: 0 }, false);
  return renderParts(parts, value);
}

function parseParts(
  tokens: readonly RegExpMatchArray[],
  cursor: { at: number },
  inRange: boolean,
): readonly Part[] {
  const parts: Part[] = [];
  while (cursor.at < tokens.length) {
    const [whole = "", expression] = tokens[cursor.at++] ?? [];
    const trimmed = expression?.trim();
    if (trimmed === undefined && whole === "{") throw wrong(`unclosed '{'`);
    if (trimmed === undefined) parts.push({ type: "text", text: whole });
    else if (trimmed === "end") {
      if (!inRange) throw wrong("{end} without {range}");
      return parts;
    } else if (trimmed.startsWith("range ")) {
      const steps = parsePath(trimmed.slice("range ".length).trim());
      parts.push({ type: "range", steps, body: parseParts(tokens, cursor, true) });
    } else if (/^["']/.test(trimmed)) parts.push({ type: "text", text: literal(trimmed) });
    else parts.push({ type: "path", steps: parsePath(trimmed) });
  }
  if (inRange) throw wrong("{range} without {end}");
  return parts;
}

const STEP =
  /^(?:\.([\w/-]+(?:\\\.[\w/-]+)*)|\[(-?\d+)\]|\[\*\]|\.\*|\[['"]([^'"]+)['"]\]|\[\?\(\s*@([^=!]*?)\s*(==|!=)\s*("[^"]*"|'[^']*'|[\w.-]+)\s*\)\])/;

function parsePath(text: string): readonly Step[] {
  let rest = text.replace(/^[$@]/, "");
  if (rest !== "" && !/^[.[]/.test(rest)) rest = `.${rest}`;
  const steps: Step[] = [];
  while (rest !== "" && rest !== ".") {
    const match = STEP.exec(rest);
    if (match === null) throw wrong(`cannot read ${JSON.stringify(rest)}`);
    steps.push(stepOf(match));
    rest = rest.slice(match[0].length);
  }
  return steps;
}

function stepOf(match: RegExpExecArray): Step {
  const [, field, index, quoted, path, operator, value] = match;
  if (operator !== undefined) {
    return {
      type: "filter",
      path: parsePath(path ?? ""),
      equal: operator === "==",
      value: literal(value ?? ""),
    };
  }
  const name = field?.replaceAll("\\.", ".") ?? quoted;
  if (name !== undefined) return { type: "field", name };
  return index === undefined ? { type: "all" } : { type: "index", index: Number(index) };
}

function literal(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1).replaceAll("\\n", "\n").replaceAll("\\t", "\t");
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    throw wrong(`cannot read ${text}`);
  }
}

function renderParts(parts: readonly Part[], value: unknown): string {
  return parts
    .map((part) => {
      if (part.type === "text") return part.text;
      const found = walk(part.steps, [value]);
      if (part.type === "path") return found.map(textOf).join(" ");
      return found.map((item) => renderParts(part.body, item)).join("");
    })
    .join("");
}

function walk(steps: readonly Step[], from: readonly unknown[]): readonly unknown[] {
  return steps.reduce<readonly unknown[]>(
    (values, step) => values.flatMap((value) => take(step, value)),
    from,
  );
}

function take(step: Step, value: unknown): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  const items: readonly unknown[] = Object.values(value);
  if (step.type === "all") return items;
  if (step.type === "filter") {
    return items.filter(
      (item) => walk(step.path, [item]).some((it) => String(it) === step.value) === step.equal,
    );
  }
  if (step.type === "index") {
    const found = Array.isArray(value) ? value.at(step.index) : undefined;
    return found === undefined ? [] : [found];
  }
  return Object.hasOwn(value, step.name) ? [(value as Record<string, unknown>)[step.name]] : [];
}

function textOf(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function wrong(why: string): Error {
  return usageError(`the jsonpath template is wrong: ${why}`, "for example: -o jsonpath='{.status.phase}'");
}
