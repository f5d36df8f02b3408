/**
 * An XML element as data, and its text. The only way into a document: names are constants of ours, every value
 * is escaped, and what XML 1.0 cannot carry (control characters, lone surrogates) is refused rather than dropped,
 * so that a manifest's text never becomes markup.
 */
import { PodtapError } from "../base/errors.ts";

export interface XmlElement {
  readonly name: string;
  readonly attributes: readonly (readonly [string, string])[];
  readonly children: readonly (XmlElement | string)[];
}

type AttributeValue = string | number | undefined;
type Child = XmlElement | string | undefined;

/** Attributes and children that are undefined are left out, so that optional parts read as plain expressions. */
export function element(
  name: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  ...children: readonly Child[]
): XmlElement {
  return {
    name,
    attributes: Object.entries(attributes).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)] as const],
    ),
    children: children.filter((child) => child !== undefined),
  };
}

/** One element a line, two spaces a level; text stands on the line of its element. */
export function renderXml(node: XmlElement, indent = ""): string {
  const attributes = node.attributes.map(([key, value]) => ` ${key}="${escapeXml(value)}"`).join("");
  const open = `${indent}<${node.name}${attributes}`;
  if (node.children.length === 0) return `${open}/>\n`;
  if (node.children.every((child) => typeof child === "string")) {
    return `${open}>${node.children.map(escapeXml).join("")}</${node.name}>\n`;
  }
  const inner = node.children.map((child) =>
    typeof child === "string" ? `${indent}  ${escapeXml(child)}\n` : renderXml(child, `${indent}  `),
  );
  return `${open}>\n${inner.join("")}${indent}</${node.name}>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/** XML 1.0, 2.2 `Char`, less the white space that attribute normalisation (3.3.3) would change. */
const FORBIDDEN = /[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

function escapeXml(text: string): string {
  const bad = FORBIDDEN.exec(text)?.[0];
  if (bad !== undefined) {
    const point = (bad.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    throw new PodtapError({
      code: "PT-DOMAIN-1",
      message: `the domain XML cannot hold the character U+${point} of ${JSON.stringify(text.slice(0, 80))}`,
      hint: "Remove the control character (a line break in kernelArgs is the usual one) from the manifest.",
      blame: "manifest",
      retry: "on-change",
    });
  }
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
