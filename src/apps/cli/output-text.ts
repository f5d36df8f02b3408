/**
 * Text from objects onto a terminal. Guests name themselves (hostname, agent's interfaces), images and plugins
 * put words into events: none of them may move the cursor or rewrite what stands above.
 */

/** Control characters, and the two of Unicode that reverse or hide text, as visible escapes. */
export function visible(text: string): string {
  return text.replace(CONTROL, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Like `visible`, for text that may have several lines. */
export function visibleLines(text: string): string {
  return text
    .split("\n")
    .map((line) => visible(line.replaceAll("\t", "    ")))
    .join("\n");
}

const CONTROL = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/gu;

export interface Columns {
  /** Spaces between columns; kubectl: 3. */
  readonly gap: number;
  /** kubectl's tabwriter makes no column narrower than 6, gap included. */
  readonly narrowest: number;
}

/** How wide each column must be, gap included. */
export function columnWidths(
  rows: readonly (readonly string[])[],
  { gap, narrowest }: Columns,
): readonly number[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: count }, (_, i) =>
    Math.max(narrowest, ...rows.map((row) => (row[i] ?? "").length + gap)),
  );
}

/** Cells padded to widths; nothing after the last one that has text. */
export function padRow(
  row: readonly string[],
  widths: readonly number[],
  paint: (cell: string, column: number) => string = (cell) => cell,
): string {
  const last = row.findLastIndex((cell) => cell !== "");
  return row
    .slice(0, last + 1)
    .map((cell, i) => paint(cell, i) + (i === last ? "" : " ".repeat((widths[i] ?? 0) - cell.length)))
    .join("");
}
