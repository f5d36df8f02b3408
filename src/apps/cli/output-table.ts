/** Tables as kubectl prints them: the server's rows, upper-case names, three spaces between columns. */
import type { Table, TableColumn, TableRow } from "../../cluster/local/table.ts";
import { columnWidths, padRow, visible } from "./output-text.ts";

export interface TableOptions {
  readonly wide?: boolean;
  /** Default true. */
  readonly headers?: boolean;
  /** A column before the others (all namespaces). */
  readonly namespace?: boolean;
  /** `virtualmachine.kubevirt.io`: before each name, when several kinds are shown. */
  readonly kind?: string;
  /** Colours; called with the cell and what it is. */
  paint?(colour: "green" | "yellow" | "red", text: string): string;
}

const KUBECTL = { gap: 3, narrowest: 6 };

/** Keeps the columns from table to table, so that rows of a watch stand under the first ones. */
export class TablePrinter {
  readonly #options: TableOptions;
  #columns: readonly (TableColumn & { readonly index: number })[] = [];
  #widths: readonly number[] = [];

  constructor(options: TableOptions = {}) {
    this.#options = options;
  }

  /** The lines of a table, with its header the first time; empty when there is nothing to show. */
  print(table: Table): string {
    const first = this.#columns.length === 0 && table.columnDefinitions.length > 0;
    if (first) {
      this.#columns = table.columnDefinitions
        .map((column, index) => ({ ...column, index }))
        .filter(({ priority }) => priority === 0 || this.#options.wide === true);
    }
    if (table.rows.length === 0) {
      if (first) this.#columns = [];
      return "";
    }
    const rows = table.rows.map((row) => this.#cells(row));
    const header = first && this.#options.headers !== false ? [this.#header()] : [];
    const needed = columnWidths([...header, ...rows], KUBECTL);
    this.#widths = needed.map((width, i) => Math.max(width, this.#widths[i] ?? 0));
    const lines = [
      ...header.map((row) => padRow(row, this.#widths)),
      ...rows.map((row) => padRow(row, this.#widths, (cell) => this.#painted(cell))),
    ];
    return `${lines.join("\n")}\n`;
  }

  #header(): readonly string[] {
    const names = this.#columns.map(({ name }) => name.toUpperCase());
    return this.#options.namespace === true ? ["NAMESPACE", ...names] : names;
  }

  #cells(row: TableRow): readonly string[] {
    const cells = this.#columns.map(({ index }, i) => {
      const text = oneLine(row.cells[index]);
      return i === 0 && this.#options.kind !== undefined ? `${this.#options.kind}/${text}` : text;
    });
    return this.#options.namespace === true
      ? [visible(row.object?.metadata.namespace ?? ""), ...cells]
      : cells;
  }

  #painted(cell: string): string {
    const colour = COLOURS.get(cell);
    return colour === undefined ? cell : (this.#options.paint?.(colour, cell) ?? cell);
  }
}

const COLOURS = new Map<string, "green" | "yellow" | "red">([
  ...["Running", "Active", "Bound"].map((it) => [it, "green"] as const),
  ...[
    "Pending",
    "Scheduling",
    "Scheduled",
    "Starting",
    "Provisioning",
    "Stopping",
    "Terminating",
    "Paused",
  ].map((it) => [it, "yellow"] as const),
  ...[
    "Failed",
    "Error",
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrorUnschedulable",
    "Warning",
  ].map((it) => [it, "red"] as const),
]);

/** As kubectl: what comes after a line end is left out, and it shows. */
function oneLine(cell: string | number | null | undefined): string {
  const text = cell === null || cell === undefined ? "" : String(cell);
  const end = text.search(/[\r\n\f]/);
  return visible(end < 0 ? text : `${text.slice(0, end)}...`);
}
