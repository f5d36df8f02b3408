/**
 * Does a value have the shape of its kind: only known fields, of the right types, none missing? One walk along
 * the table in field-table.ts.
 *
 * The walk goes on behind every problem, and hands the admission rules a corrected copy: nulls and ill-typed
 * values gone, misspelt fields under their right name. So one typing mistake gives one problem, and a user sees
 * all of the rest in the same run. Where something was dropped is in `ruined`; rules about such places are
 * not asked.
 */

import { isWithoutEffect } from "./acted-on.ts";
import type { Fields, FieldTable, FieldType } from "./field-table.ts";
import { errorAt, type Finding, warningAt } from "./finding.ts";
import type { Path } from "./path.ts";
import { isQuantity } from "./quantity.ts";
import { suggest } from "./suggest.ts";

export interface Structure {
  readonly value: unknown;
  readonly findings: readonly Finding[];
  readonly ruined: readonly Path[];
}

export interface StructureOptions {
  readonly table: FieldTable;
  /** For messages: `VirtualMachine`. */
  readonly root: string;
  /** Is the value there unquoted YAML? */
  readonly isPlain?: (path: Path) => boolean;
}

/** KubeVirt's CRDs: `maxItems`. */
const MAX_ITEMS = 256;
/** Looking a name up costs; a file with more unknown fields than this is no manifest with typing mistakes. */
const MAX_SUGGESTIONS = 100;
const LIMITED = new Set(["interfaces", "networks", "disks", "volumes"]);
/** Words that YAML 1.1, which kubectl reads, takes for booleans. */
const YAML_11_BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"].map((word) => [word, true] as const),
  ...["n", "N", "no", "No", "NO", "off", "Off", "OFF"].map((word) => [word, false] as const),
]);
/** XML 1.0, which the domain is written in, has no way to carry these. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]|\p{Cs}/u;

export function checkStructure(value: unknown, type: string, options: StructureOptions): Structure {
  const walk = new Walk(options);
  const checked = walk.check(value, type, [], true);
  return { value: checked, findings: [...walk.findings, ...walk.withoutEffect()], ruined: walk.ruined };
}

class Walk {
  readonly findings: Finding[] = [];
  readonly ruined: Path[] = [];
  readonly #options: StructureOptions;
  readonly #inert = new Set<string>();
  /** Fields without effect, and where each stands first. */
  readonly #idle = new Map<string, Path>();
  #unknown = 0;

  constructor(options: StructureOptions) {
    this.#options = options;
  }

  /** Undefined: not there, or dropped. `acting` is false below a field that podtap does not act on. */
  check(value: unknown, type: string, path: Path, acting: boolean): unknown {
    if (type.endsWith("[]")) return this.#list(value, type.slice(0, -2), path, acting);
    if (type.startsWith("{}")) return this.#map(value, type.slice(2), path);
    const fields = this.#options.table.fieldsOf(type);
    return fields === undefined
      ? this.#scalar(value, type, path)
      : this.#struct(value, type, fields, path, acting);
  }

  #struct(value: unknown, type: string, fields: Fields, path: Path, acting: boolean): unknown {
    if (!isPlainObject(value)) return this.#illTyped(path, "a map of fields", value);
    const entries = new Map<string, unknown>();
    for (const [name, inner] of Object.entries(value)) {
      const known = fields.has(name) ? name : this.#unknownField(name, value, fields, type, path);
      const field = known === undefined ? undefined : fields.get(known);
      if (known === undefined || field === undefined || entries.has(known)) continue;
      const at = [...path, name];
      const checked = this.#field(inner, field, at, () => acting && this.#noteInert(type, known, at));
      if (checked !== undefined) entries.set(known, checked);
      else if (known !== name) this.ruined.push([...path, known]);
    }
    this.#completeWith(fields, entries, value, path);
    return Object.fromEntries(entries);
  }

  #completeWith(
    fields: Fields,
    entries: Map<string, unknown>,
    value: Record<string, unknown>,
    path: Path,
  ): void {
    for (const [name, { type, required }] of fields) {
      if (!required || entries.has(name)) continue;
      const given = Object.hasOwn(value, name) ? (value[name] ?? undefined) : undefined;
      if (given === undefined) this.#missing(name, path);
      // Go's zero value, so that rules need not ask whether there is a name.
      if (this.#options.table.fieldsOf(type) === undefined)
        entries.set(name, zeroOf(type, this.#options.table));
    }
  }

  #field(value: unknown, field: FieldType, at: Path, isActedOn: () => boolean): unknown {
    if (value === null || value === undefined) {
      if (!field.required) this.#nullField(field.type, at);
      return undefined;
    }
    return this.check(value, field.type, at, isActedOn());
  }

  #unknownField(name: string, value: object, fields: Fields, type: string, path: Path): string | undefined {
    this.#unknown += 1;
    const guess = this.#unknown <= MAX_SUGGESTIONS;
    const free = [...fields.keys()].filter((field) => !Object.hasOwn(value, field));
    const near = guess ? suggest(name, free) : undefined;
    this.findings.push(
      errorAt({
        code: "PT-MAN-10",
        at: [...path, name],
        message: `unknown field ${JSON.stringify(shorten(name))}`,
        hint: guess
          ? this.#whereInstead(name, near, fields, type)
          : "Remove it; there are too many to look each up.",
      }),
    );
    return near;
  }

  #whereInstead(name: string, near: string | undefined, fields: Fields, type: string): string {
    if (near !== undefined) return `Did you mean \`${near}\`?`;
    const place = this.#options.table.placeOfField(name, this.#options.root);
    if (place !== undefined) return `\`${name}\` belongs at ${place}: check the indentation.`;
    if (fields.size === 0) return "This takes no fields: write {}.";
    return `Fields of ${type}: ${[...fields.keys()].slice(0, 20).join(", ")}${fields.size > 20 ? ", …" : ""}.`;
  }

  /** `bridge:` with nothing behind it is null, and null is "not set": a trap where presence is the meaning. */
  #nullField(type: string, at: Path): void {
    const fields = this.#options.table.fieldsOf(type);
    if (fields === undefined || type === "ObjectMeta") return;
    this.findings.push(
      warningAt({
        code: "PT-MAN-14",
        at,
        message: "this field is null, which is the same as leaving it out",
        hint: `Write \`${String(at.at(-1))}: {}\` if it is meant to be there.`,
      }),
    );
  }

  #noteInert(type: string, field: string, at: Path): boolean {
    if (this.#options.table.isActedOn(type, field)) return true;
    if (isWithoutEffect(type, field)) {
      if (!this.#idle.has(field)) this.#idle.set(field, at);
      return false;
    }
    const key = `${type}.${field}`;
    if (!this.#inert.has(key)) {
      this.#inert.add(key);
      this.findings.push(
        warningAt({
          code: "PT-MAN-13",
          at,
          reason: "FieldValueNotSupported",
          message: `podtap does not act on \`${field}\` yet; the VM runs as if it were not there`,
          hint: "Remove the field if the VM does not need it; docs/reference/manifests.md lists what podtap reads.",
        }),
      );
    }
    return false;
  }

  /** One note for all of them. */
  withoutEffect(): readonly Finding[] {
    const [first] = this.#idle.values();
    if (first === undefined) return [];
    const names = [...this.#idle.keys()].map((name) => `\`${name}\``).join(", ");
    const message = `without effect on one machine: ${names}`;
    const hint = "Nothing to do: they choose among nodes, or are about what no guest needs here.";
    return [warningAt({ code: "PT-MAN-24", at: first, reason: "FieldValueNotSupported", message, hint })];
  }

  #missing(name: string, path: Path): void {
    const at = [...path, name];
    this.ruined.push(at);
    this.findings.push(
      errorAt({
        code: "PT-MAN-12",
        at,
        reason: "FieldValueRequired",
        message: `\`${name}\` is required`,
        hint: `Add \`${name}\` here.`,
      }),
    );
  }

  #list(value: unknown, item: string, path: Path, acting: boolean): unknown {
    if (!Array.isArray(value)) return this.#illTyped(path, "a list (lines that begin with `- `)", value);
    if (LIMITED.has(String(path.at(-1))) && value.length > MAX_ITEMS) {
      this.findings.push(
        errorAt({
          code: "PT-MAN-17",
          at: path,
          message: `the list has ${value.length} items; at most ${MAX_ITEMS} are allowed`,
          hint: "Split the work over several VMs.",
        }),
      );
      this.ruined.push(path);
      return undefined;
    }
    // A dropped item keeps its place, so that indexes in later messages stay true.
    return value.map(
      (inner, i) => this.check(inner, item, [...path, i], acting) ?? zeroOf(item, this.#options.table),
    );
  }

  #map(value: unknown, item: string, path: Path): unknown {
    if (!isPlainObject(value)) return this.#illTyped(path, "a map of names to values", value);
    const entries = Object.entries(value).map(
      ([key, inner]) => [key, this.check(inner, item, [...path, key], false)] as const,
    );
    return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
  }

  #scalar(value: unknown, type: string, path: Path): unknown {
    switch (type) {
      case "any":
        return value;
      case "string":
      case "text":
        return this.#string(value, type, path);
      case "bool":
        return this.#bool(value, path);
      case "int":
        return this.#int(value, path);
      case "intstr":
        return typeof value === "string" ? this.#string(value, "string", path) : this.#int(value, path);
      case "quantity":
        return this.#quantity(value, path);
      default:
        return undefined;
    }
  }

  #string(value: unknown, type: string, path: Path): unknown {
    if (typeof value !== "string") return this.#illTyped(path, "text", value);
    if (YAML_11_BOOLEANS.has(value) && this.#options.isPlain?.(path) === true) {
      this.findings.push(
        warningAt({
          code: "PT-MAN-15",
          at: path,
          message: `kubectl reads an unquoted ${value} as a boolean; podtap reads it as text`,
          hint: `Write "${value}" with quotes.`,
        }),
      );
    }
    if (type === "string" && UNPRINTABLE.test(value)) {
      this.findings.push(
        errorAt({
          code: "PT-MAN-16",
          at: path,
          message: "the text holds a control character, which neither libvirt's XML nor a name can carry",
          hint: "Remove it; it often comes from an escape such as \\0 or from copying.",
        }),
      );
      return this.#drop(path);
    }
    return value;
  }

  #bool(value: unknown, path: Path): unknown {
    if (typeof value === "boolean") return value;
    const word = typeof value === "string" ? YAML_11_BOOLEANS.get(value) : undefined;
    // As kubectl has it: `running: yes`.
    if (word !== undefined && this.#options.isPlain?.(path) === true) return word;
    return this.#illTyped(path, "true or false", value);
  }

  #int(value: unknown, path: Path): unknown {
    if (typeof value !== "number") return this.#illTyped(path, "a whole number", value);
    if (!Number.isInteger(value)) return this.#illTyped(path, "a whole number", value);
    return Number.isSafeInteger(value) ? value : this.#illTyped(path, "a number of reasonable size", value);
  }

  #quantity(value: unknown, path: Path): unknown {
    if (typeof value !== "string" && typeof value !== "number")
      return this.#illTyped(path, "an amount as 4Gi", value);
    if (isQuantity(value)) return value;
    this.findings.push(
      errorAt({
        code: "PT-MAN-21",
        at: path,
        message:
          `${JSON.stringify(shorten(String(value)))} is no amount: quantities must match the regular expression ` +
          "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        hint: "Write a number and a unit without a space, as 512Mi, 4Gi, 2G or 500m.",
      }),
    );
    return this.#drop(path);
  }

  #illTyped(path: Path, expected: string, value: unknown): undefined {
    this.findings.push(
      errorAt({
        code: "PT-MAN-11",
        at: path,
        message: `expected ${expected}, found ${describe(value)}`,
        hint: typeHint(expected, value),
      }),
    );
    return this.#drop(path);
  }

  #drop(path: Path): undefined {
    this.ruined.push(path);
    return undefined;
  }
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What Go has where nothing was decoded: required scalars are there, and empty. */
function zeroOf(type: string, table: FieldTable): unknown {
  const fields = table.fieldsOf(type);
  if (fields === undefined) return type === "int" ? 0 : "";
  const required = [...fields].filter(
    ([, field]) => field.required && table.fieldsOf(field.type) === undefined,
  );
  return Object.fromEntries(required.map(([name, field]) => [name, zeroOf(field.type, table)]));
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing (null)";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  const kinds: Readonly<Record<string, string>> = { string: "text", number: "number", boolean: "boolean" };
  return `the ${kinds[typeof value] ?? typeof value} ${shorten(JSON.stringify(value) ?? "")}`;
}

function typeHint(expected: string, value: unknown): string {
  if (expected === "text" && (typeof value === "number" || typeof value === "boolean")) {
    return `Write it with quotes: "${String(value)}".`;
  }
  if (expected === "a whole number" && typeof value === "string" && /^-?\d+$/.test(value)) {
    return `Write it without quotes: ${value}.`;
  }
  if (expected === "true or false" && typeof value === "string") return "Write true or false without quotes.";
  return `Write ${expected} here, or remove the field.`;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
