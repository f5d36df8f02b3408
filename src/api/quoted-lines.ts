/**
 * Quoted text over several lines, as people write the `config` of a NetworkAttachmentDefinition:
 *
 *     spec:
 *       config: '{
 *         "type": "bridge"
 *       }'
 *
 * YAML wants every further line to be deeper than the key. libyaml, which kubectl reads with, does not ask for it, so
 * manifests are full of this. White space at the beginning of such a line is no part of the text: with more of it, the
 * value is the same and the YAML is right.
 */
import { Lexer } from "yaml";

/** Marks of the lexer that stand for no character: the beginning of a document, an end of flow, of a scalar. */
const WITHOUT_TEXT = new Set(["\u0002", "\u0018", "\u001f"]);
/** Each costs a pass over the file. */
const MAX_REPAIRS = 100;
const CLOSED: Readonly<Record<string, RegExp>> = {
  "'": /'(?:[^']|'')*'/y,
  '"': /"(?:[^"\\]|\\[\s\S])*"/y,
};

/** The text with those lines moved in; undefined when there is nothing of the kind. Lines stay the same lines. */
export function indentQuotedLines(text: string): string | undefined {
  let repaired = text;
  for (let i = 0; i < MAX_REPAIRS; i++) {
    const start = brokenQuote(repaired);
    const next = start === undefined ? undefined : withLinesMovedIn(repaired, start);
    if (next === undefined) break;
    repaired = next;
  }
  return repaired === text ? undefined : repaired;
}

/** Where the first quoted text begins that the lexer gave up. */
function brokenQuote(text: string): number | undefined {
  let offset = 0;
  let afterMark = false;
  for (const token of new Lexer().lex(text)) {
    const isText = !WITHOUT_TEXT.has(token);
    // Behind the mark of a scalar stands plain text or a block, whose quotes are text.
    if (isText && !afterMark && isBroken(token)) return offset;
    afterMark = token === "\u001f";
    if (isText) offset += token.length;
  }
  return undefined;
}

function isBroken(token: string): boolean {
  const closed = CLOSED[token[0] ?? ""];
  return closed !== undefined && matchAt(closed, token, 0) !== token.length;
}

function withLinesMovedIn(text: string, start: number): string | undefined {
  const closed = CLOSED[text[start] ?? ""];
  const end = closed && matchAt(closed, text, start);
  if (end === undefined) return undefined;
  const quoted = text.slice(start, end);
  // Another document: the quote is missing indeed.
  if (/\n(?:---|\.\.\.)(?:\s|$)/.test(quoted)) return undefined;
  const column = start - (text.lastIndexOf("\n", start) + 1);
  const moved = quoted.replace(
    /\n( *)(?=[^ \r\n])/g,
    (_, spaces: string) => `\n${spaces.padEnd(column + 1)}`,
  );
  return moved === quoted ? undefined : text.slice(0, start) + moved + text.slice(end);
}

function matchAt(pattern: RegExp, text: string, start: number): number | undefined {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}
