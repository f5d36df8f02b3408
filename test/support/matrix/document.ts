/** The matrix as the page of bindings has it, and as text between its two marks. */
import type { Verdict } from "./verdict.ts";

export const BEGIN = "<!-- matrix: test/netns/matrix.test.ts writes it -->";
export const END = "<!-- end of the matrix -->";

export interface DocumentRow {
  readonly label: string;
  /** By column. */
  readonly cells: Readonly<Record<string, Verdict>>;
}

export function renderMatrix(columns: readonly string[], rows: readonly DocumentRow[]): string {
  const notes = new Map<string, number>();
  const numberOf = (note: string): number => {
    const known = notes.get(note) ?? notes.size + 1;
    notes.set(note, known);
    return known;
  };
  const cell = ({ holds, note }: Verdict): string => {
    const word = holds === "not applicable" ? NOTHING : holds;
    return note === undefined ? word : `${word} (${numberOf(note)})`;
  };
  const lines = rows.map(
    ({ label, cells }) =>
      `| ${label} | ${columns.map((column) => cell(cells[column] ?? UNKNOWN)).join(" | ")} |`,
  );
  const head = [`| | ${columns.join(" | ")} |`, `|---|${columns.map(() => "---|").join("")}`];
  const list = [...notes].map(([note, number]) => `${number}. ${note}`);
  return [...head, ...lines, ...(list.length > 0 ? ["", ...list] : [])].join("\n");
}

/** A cell in words, its note in full. */
export function describeVerdict({ holds, note }: Verdict): string {
  const word = holds === "not applicable" ? NOTHING : holds;
  return note === undefined ? word : `${word}: ${note}`;
}

/** The same of a matrix that was rendered; undefined where it has no such cell. */
export function describeCell(matrix: string, label: string, column: string): string | undefined {
  const lines = matrix.split("\n");
  const cellsOf = (line: string): readonly string[] => line.split("|").map((cell) => cell.trim());
  const at = cellsOf(lines[0] ?? "").indexOf(column);
  const row = lines.find((line) => cellsOf(line)[1] === label);
  const [, word, number] =
    /^(\S+)(?: \((\d+)\))?$/.exec(row === undefined ? "" : (cellsOf(row)[at] ?? "")) ?? [];
  if (word === undefined || number === undefined) return word;
  return `${word}: ${lines.find((line) => line.startsWith(`${number}. `))?.slice(number.length + 2)}`;
}

const NOTHING = "–";
const UNKNOWN: Verdict = { holds: "not applicable" };

/** @throws when the page lacks the marks */
export function betweenMarks(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN} and ${END}`);
  return page.slice(begin + BEGIN.length, end).trim();
}

export function withMatrix(page: string, matrix: string): string {
  const old = betweenMarks(page);
  return page.replace(`${BEGIN}\n${old}`, () => `${BEGIN}\n${matrix}`);
}
