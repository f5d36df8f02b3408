/**
 * `meta.k8s.io/v1 Table`: rows for people, made by the server, so that kubectl and podtap show the same columns.
 */
import type { KubeObject } from "../../api/object.ts";
import { type Cell, DEFAULT_COLUMNS, PRINTER_COLUMNS, type PrinterColumn } from "./printer-columns-table.ts";

export interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

export interface TableRow {
  readonly cells: readonly (string | number | null)[];
  /** Absent with `includeObject=None`. */
  readonly object?: KubeObject;
}

export interface Table {
  readonly kind: "Table";
  readonly apiVersion: "meta.k8s.io/v1";
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly columnDefinitions: readonly TableColumn[];
  readonly rows: readonly TableRow[];
}

/** `includeObject` of the request; Kubernetes' default is Metadata. */
export type IncludeObject = "None" | "Metadata" | "Object";

export function columnDefinitions(resource: string): readonly TableColumn[] {
  const name = {
    name: "Name",
    type: "string",
    format: "name",
    description: "Name of the object",
    priority: 0,
  };
  return [
    name,
    ...columnsOf(resource).map((column) => ({
      name: column.name,
      type: column.type ?? "string",
      format: "",
      description: column.description ?? "",
      priority: column.priority ?? 0,
    })),
  ];
}

export function tableRow(
  resource: string,
  object: KubeObject,
  include: IncludeObject,
  now: number,
): TableRow {
  const cells = columnsOf(resource).map((column) => column.cell(object, now));
  return {
    cells: [object.metadata.name, ...cells.map((cell: Cell) => cell ?? null)],
    ...(include === "None" ? {} : { object: include === "Object" ? object : partialMetadata(object) }),
  };
}

export function table(rows: readonly TableRow[], columns: readonly TableColumn[], metadata: object): Table {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: columns,
    rows,
  };
}

export function partialMetadata({ metadata }: KubeObject): KubeObject {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
}

function columnsOf(resource: string): readonly PrinterColumn[] {
  return PRINTER_COLUMNS[resource] ?? DEFAULT_COLUMNS;
}
