/**
 * YAML or JSON text to plain JSON values, with the place of every value.
 *
 * Theory of operation. The `yaml` library makes a tree with positions; this file turns the tree into values
 * itself, because manifests come from strangers: aliases are followed with a budget of nodes (an alias bomb
 * grows by the power of its depth), nesting is limited, duplicate keys are found with a set a map (the
 * library's own check is quadratic), and objects are made from entries, so that a key `__proto__` is a key.
 *
 * Reads YAML 1.2, where `on` and `no` are text. kubectl reads YAML 1.1, where they are booleans: `isPlain`
 * lets the type check notice the difference. Merge keys (`<<`) work as in kubectl; so does quoted text whose further
 * lines are not indented (quoted-lines.ts).
 *
 * Never throws.
 */
import {
  type Document,
  isAlias,
  isDocument,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLMap,
} from "yaml";
import type { Code } from "../base/problem.ts";
import type { Path } from "./path.ts";
import { indentQuotedLines } from "./quoted-lines.ts";

export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

export interface YamlProblem extends TextPosition {
  readonly code: Code;
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly hint: string;
}

export interface YamlDocument {
  /** JSON types only. */
  readonly value: unknown;
  /** Of the key or list item; of the nearest parent there is, for a path that does not exist. */
  locate(path: Path): TextPosition;
  /** Is the value there written without quotes? */
  isPlain(path: Path): boolean;
}

/** What a Kubernetes API server takes in one request. */
const MAX_TEXT = 3 * 1024 * 1024;
const MAX_DOCUMENTS = 1000;
const MAX_DEPTH = 64;
/** Nodes of one file after following aliases. */
const MAX_NODES = 200_000;
const MAX_SYNTAX_PROBLEMS = 10;

type MapPair = Pair<Node | null, Node | null>;
type Report = (
  node: Node | null | undefined,
  problem: Omit<YamlProblem, "line" | "column" | "severity">,
) => void;

export function readYaml(text: string): {
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly YamlProblem[];
} {
  const start = { line: 1, column: 1 };
  if (text.length > MAX_TEXT) {
    const message = `the file has ${text.length} characters; podtap reads at most ${MAX_TEXT}`;
    const hint = "Split the manifests into several files.";
    return { documents: [], problems: [{ ...start, code: "PT-MAN-1", severity: "error", message, hint }] };
  }
  try {
    return readDocuments(text);
  } catch (thrown) {
    // The parser is recursive in places that its own limits do not cover.
    const message = `the file cannot be read as YAML: ${thrown instanceof Error ? thrown.message : "no reason given"}`;
    const hint = "Check for extreme nesting; `kubectl apply --dry-run=client` reads the same file.";
    return { documents: [], problems: [{ ...start, code: "PT-MAN-2", severity: "error", message, hint }] };
  }
}

function readDocuments(text: string): {
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly YamlProblem[];
} {
  const { parsed, lines } = parseAsKubectl(text);
  const problems: YamlProblem[] = [];
  const documents: YamlDocument[] = [];
  const budget = { nodes: MAX_NODES };
  const all = parsed;
  for (const document of all.slice(0, MAX_DOCUMENTS)) {
    if (document.errors.length > 0) {
      for (const error of document.errors.slice(0, MAX_SYNTAX_PROBLEMS)) {
        problems.push({ ...positionOf(lines, error.pos[0]), ...syntaxProblem(error.code, error.message) });
      }
      continue;
    }
    // A `}` that is not indented enough is none of kubectl's business.
    const warnings = document.warnings.filter(({ code }) => code !== "BAD_INDENT");
    for (const { pos, message } of warnings.slice(0, MAX_SYNTAX_PROBLEMS)) {
      const hint = "Take the tag out: Kubernetes manifests need none.";
      problems.push({ ...positionOf(lines, pos[0]), code: "PT-MAN-22", severity: "warning", message, hint });
    }
    const contents = document.contents as Node | null;
    const converter = new Converter(budget, (node, problem) => {
      problems.push({ ...positionOf(lines, node?.range?.[0] ?? 0), severity: "error", ...problem });
    });
    const value = converter.convert(contents, 0);
    documents.push(new LocatedDocument(value, contents, converter.anchors, lines));
  }
  if (all.length > MAX_DOCUMENTS) {
    const message = `the file holds ${all.length} documents; podtap reads at most ${MAX_DOCUMENTS}`;
    problems.push({
      line: 1,
      column: 1,
      code: "PT-MAN-1",
      severity: "error",
      message,
      hint: "Split the file.",
    });
  }
  return { documents, problems };
}

interface Parsed {
  readonly parsed: readonly Document[];
  readonly lines: LineCounter;
}

/** Where the text is wrong only in ways that kubectl does not mind, it is read as kubectl reads it. */
function parseAsKubectl(text: string): Parsed {
  const strict = parse(text);
  if (!hasSyntaxErrors(strict)) return strict;
  const indented = indentQuotedLines(text);
  const lenient = indented === undefined ? strict : parse(indented);
  return hasSyntaxErrors(lenient) ? strict : lenient;
}

function hasSyntaxErrors({ parsed }: Parsed): boolean {
  return parsed.some(({ errors }) => errors.length > 0);
}

function parse(text: string): Parsed {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  return { parsed: Array.isArray(parsed) ? parsed.filter((document) => isDocument(document)) : [], lines };
}

function syntaxProblem(code: string, message: string): Omit<YamlProblem, "line" | "column"> {
  const hints: Readonly<Record<string, string>> = {
    TAB_AS_INDENT: "Indent with spaces: YAML allows no tab there.",
    BLOCK_AS_IMPLICIT_KEY: 'Quote a value that has a colon in it, as in "key: value".',
    BAD_INDENT: "Line the keys of one map up in one column.",
    RESOURCE_EXHAUSTION: "Nest less deeply; a manifest needs about a dozen levels.",
  };
  const hint = Object.hasOwn(hints, code) ? hints[code] : undefined;
  return {
    code: "PT-MAN-2",
    severity: "error",
    message: `not valid YAML: ${message}`,
    hint: hint ?? "Look at this line and the one above it: indentation, quotes, brackets.",
  };
}

function positionOf(lines: LineCounter, offset: number): TextPosition {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** One document's tree to values. `anchors` fills up on the way, as YAML wants: an alias looks back only. */
class Converter {
  readonly anchors = new Map<string, Node>();
  readonly #budget: { nodes: number };
  readonly #report: Report;

  constructor(budget: { nodes: number }, report: Report) {
    this.#budget = budget;
    this.#report = report;
  }

  convert(node: Node | null | undefined, depth: number): unknown {
    if (node === null || node === undefined) return null;
    if (!this.#spend(node, depth)) return null;
    if (isAlias(node)) return this.#alias(node, depth);
    if (node.anchor !== undefined) this.anchors.set(node.anchor, node);
    if (isSeq(node)) return node.items.map((item) => this.convert(item as Node | null, depth + 1));
    if (isMap(node)) return Object.fromEntries(this.#entries(node, depth));
    return this.#scalar(node);
  }

  #spend(node: Node, depth: number): boolean {
    this.#budget.nodes -= 1;
    const tooDeep = depth > MAX_DEPTH;
    if (this.#budget.nodes >= 0 && !tooDeep) return true;
    // Once: after that the budget is far below zero, and every further node ends here at once.
    if (tooDeep || this.#budget.nodes === -1) {
      this.#report(node, {
        code: "PT-MAN-6",
        message: tooDeep
          ? `values are nested more than ${MAX_DEPTH} levels deep, or an alias contains itself`
          : `the file unfolds to more than ${MAX_NODES} values`,
        hint: "Write the values out instead of using aliases, and split the file.",
      });
      this.#budget.nodes = -2;
    }
    return false;
  }

  #alias(node: Node & { source: string }, depth: number): unknown {
    const target = this.anchors.get(node.source);
    if (target !== undefined) return this.convert(target, depth + 1);
    const message = `the alias *${node.source} has no anchor &${node.source} before it`;
    this.#report(node, {
      code: "PT-MAN-6",
      message,
      hint: 'Quote the value if it is not meant as an alias: "*".',
    });
    return null;
  }

  #entries(map: YAMLMap, depth: number): Map<string, unknown> {
    const entries = new Map<string, unknown>();
    const merged = new Map<string, unknown>();
    const places = new Map<string, Node>();
    for (const pair of map.items as MapPair[]) {
      const key = this.#key(pair);
      if (key === undefined) continue;
      if (key === "<<" && isScalar(pair.key) && pair.key.type === "PLAIN") {
        for (const [name, value] of this.#merge(pair.value, depth))
          if (!merged.has(name)) merged.set(name, value);
        continue;
      }
      const value = this.convert(pair.value, depth + 1);
      if (entries.has(key)) {
        this.#report(pair.key, {
          code: "PT-MAN-4",
          message: `the key ${JSON.stringify(key)} is given twice in the same map; one of the two would be lost`,
          hint: "Put both contents under one key, or remove one.",
        });
        continue;
      }
      entries.set(key, value);
      if (pair.key !== null) places.set(key, pair.key);
    }
    for (const [name, value] of merged) if (!entries.has(name)) entries.set(name, value);
    return entries;
  }

  #merge(node: Node | null, depth: number): readonly (readonly [string, unknown])[] {
    const value = this.convert(node, depth + 1);
    const maps = Array.isArray(value) ? value : [value];
    return maps.flatMap((map) => (typeof map === "object" && map !== null ? Object.entries(map) : []));
  }

  #key(pair: MapPair): string | undefined {
    const { key } = pair;
    if (isScalar(key) && ["string", "number", "boolean"].includes(typeof key.value)) {
      // kubectl turns number and boolean keys to text, too.
      return typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
    }
    // `{{ .Values.name }}`, as YAML reads it.
    const template = isMap(key) && pair.value === null;
    this.#report(key ?? pair.value, {
      code: "PT-MAN-5",
      message: "a key is empty, a list or a map; JSON knows only text as keys",
      hint: template
        ? "A file with {{ }} is a template: render it first, as by `helm template DIR | podtap up -f -`."
        : "Write `name: value`; quote a name that has special characters.",
    });
    return undefined;
  }

  #scalar(node: Node): unknown {
    const value = isScalar(node) ? node.value : null;
    if (typeof value === "number" && !Number.isFinite(value)) {
      const message = "this number is infinite, not a number, or too large";
      this.#report(node, { code: "PT-MAN-7", message, hint: "Quote it if it is meant as text." });
      return null;
    }
    return value === undefined || typeof value === "bigint" || typeof value === "object" ? null : value;
  }
}

class LocatedDocument implements YamlDocument {
  readonly value: unknown;
  readonly #contents: Node | null;
  readonly #anchors: ReadonlyMap<string, Node>;
  readonly #lines: LineCounter;
  readonly #indexes = new WeakMap<YAMLMap, Map<string, MapPair>>();

  constructor(value: unknown, contents: Node | null, anchors: ReadonlyMap<string, Node>, lines: LineCounter) {
    this.value = value;
    this.#contents = contents;
    this.#anchors = anchors;
    this.#lines = lines;
  }

  locate(path: Path): TextPosition {
    return positionOf(this.#lines, this.#walk(path).offset);
  }

  isPlain(path: Path): boolean {
    const { node, complete } = this.#walk(path);
    return complete && isScalar(node) && node.type === "PLAIN";
  }

  #walk(path: Path): { node: Node | null; offset: number; complete: boolean } {
    let node = this.#resolve(this.#contents);
    let offset = node?.range?.[0] ?? 0;
    for (const part of path) {
      const step = stepInto(node, part, this.#indexes);
      if (step === undefined) return { node, offset, complete: false };
      offset = (step.place ?? step.value)?.range?.[0] ?? offset;
      node = this.#resolve(step.value);
    }
    return { node, offset, complete: true };
  }

  #resolve(node: Node | null): Node | null {
    let resolved = node;
    for (let i = 0; isAlias(resolved) && i < MAX_DEPTH; i++)
      resolved = this.#anchors.get(resolved.source) ?? null;
    return resolved;
  }
}

function stepInto(
  node: Node | null,
  part: string | number,
  indexes: WeakMap<YAMLMap, Map<string, MapPair>>,
): { place: Node | null; value: Node | null } | undefined {
  if (isSeq(node) && typeof part === "number") {
    const item = node.items[part];
    return item === undefined ? undefined : { place: null, value: item as Node | null };
  }
  if (!isMap(node) || typeof part !== "string") return undefined;
  const index = indexes.get(node) ?? indexOf(node);
  indexes.set(node, index);
  const pair = index.get(part);
  return pair === undefined ? undefined : { place: pair.key, value: pair.value };
}

/** The first of equal keys, as in the value. */
function indexOf(map: YAMLMap): Map<string, MapPair> {
  const index = new Map<string, MapPair>();
  for (const pair of map.items as MapPair[]) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const name = typeof pair.key.value === "string" ? pair.key.value : (pair.key.source ?? "");
    if (!index.has(name)) index.set(name, pair);
  }
  return index;
}
