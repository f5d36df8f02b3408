/** The report of `bench datapath`, as text that is also Markdown: docs/benchmarks-datapath.md is this. */
import { round } from "../statistics.ts";
import { type Interval, medianInterval, ratioInterval, type Verdict, verdictOf } from "./intervals.ts";
import { type Cell, type Figures, keyOf } from "./measure.ts";
import { LARGEST_DATAGRAM, SEED_SCENARIOS, SEED_SIZES, SEED_TCP, SEED_UDP } from "./seed-figures.ts";

export interface Compared {
  readonly scenario: string;
  readonly path: string;
  /** By cell. */
  readonly cells: Readonly<
    Record<string, { readonly value: Interval; readonly ratio: Interval; readonly verdict: Verdict }>
  >;
}

export interface DatapathReport {
  readonly name: "datapath";
  /** What plays it. */
  readonly guest: string;
  /** A sentence: what runs where. */
  readonly processors: string;
  readonly rounds: number;
  readonly millisecondsPerCell: number;
  readonly mtu: number;
  readonly baseline: string;
  readonly scenarios: readonly Compared[];
  /** Bindings that this host, or this kind of guest, cannot have. */
  readonly leftOut: readonly { readonly scenario: string; readonly why: string }[];
  /** The seed's five scenarios, by our names, in its order. */
  readonly table: { readonly scenarios: readonly string[]; readonly sizes: readonly number[] };
}

export function compare(
  figures: Figures,
  cells: readonly Cell[],
  paths: ReadonlyMap<string, string>,
  baseline: string,
): readonly Compared[] {
  const base = figures.get(baseline);
  return [...figures].map(([scenario, measured]) => ({
    scenario,
    path: paths.get(scenario) ?? "",
    cells: Object.fromEntries(
      cells.map((cell) => {
        const key = keyOf(cell);
        const values = measured.get(key) ?? [];
        const theirs = base?.get(key) ?? [];
        // Of streams more is better: the inverse makes every ratio one of times.
        const ratio = cell.size === 0 ? ratioInterval(theirs, values) : ratioInterval(values, theirs);
        return [key, { value: medianInterval(values), ratio, verdict: verdictOf(ratio) }];
      }),
    ),
  }));
}

export function renderDatapath(report: DatapathReport): string {
  const { baseline, rounds, guest, processors, mtu, millisecondsPerCell } = report;
  return [
    `Guest: ${guest}. ${rounds} interleaved rounds, ${millisecondsPerCell} ms a cell, MTU ${mtu}. Latency is half a round trip, microseconds (median of the rounds' medians); ratios are of times, against "${baseline}" of the same round: 1.05 takes 5 % longer. In brackets the 95 % interval; one that holds 1 is a tie.${rounds < 6 ? " These are too few rounds for such an interval: it is only their span, and decides nothing." : ""} ${processors}${leftOutText(report)}`,
    overview(report),
    chart(report),
    ...(report.table.sizes.length > 0
      ? (["tcp", "udp"] as const).map((kind) => latencyTable(report, kind))
      : []),
  ]
    .join("\n\n")
    .concat("\n");
}

function leftOutText({ leftOut }: DatapathReport): string {
  if (leftOut.length === 0) return "";
  return ` Left out: ${leftOut.map(({ scenario, why }) => `${scenario} (${why})`).join("; ")}.`;
}

const OVERVIEW: readonly (readonly [key: string, head: string])[] = [
  ["tcp 64", "TCP 64 B"],
  ["udp 64", "UDP 64 B"],
  ["send", "out Gb/s"],
  ["receive", "in Gb/s"],
];

function overview({ scenarios }: DatapathReport): string {
  const heads = OVERVIEW.flatMap(([, head]) => [head, "ratio"]);
  const rows = scenarios.map(({ scenario, path, cells }) => [
    scenario,
    ...OVERVIEW.flatMap(([key]) => {
      const cell = cells[key];
      return cell === undefined ? ["", ""] : [figure(cell.value.median), ratioText(cell)];
    }),
    path,
  ]);
  return markdown([["scenario", ...heads, "path"], ...rows]);
}

/** One bar a scenario, with the interval of its ratio as a line in it. */
function chart({ scenarios, baseline }: DatapathReport): string {
  const key = "tcp 64";
  const rows = scenarios.flatMap(({ scenario, cells }) =>
    cells[key] ? [{ scenario, ratio: cells[key].ratio }] : [],
  );
  const most = Math.max(2, ...rows.map(({ ratio }) => Math.min(ratio.high, 5)));
  const at = (value: number): number => Math.round((Math.min(value, most) / most) * 50);
  const width = Math.max(...rows.map(({ scenario }) => scenario.length));
  const lines = rows.map(({ scenario, ratio }) => {
    const bar: string[] = Array.from({ length: 51 }, (_, i) => (i <= at(ratio.median) ? "█" : " "));
    for (let i = at(ratio.low); i <= at(ratio.high); i++) bar[i] = i === at(ratio.median) ? "┃" : "─";
    return `${scenario.padEnd(width)} ${bar.join("").trimEnd()} ${ratio.median.toFixed(2)}`;
  });
  return `TCP round trip of 64 bytes against "${baseline}", with intervals:\n\n\`\`\`\n${lines.join("\n")}\n\`\`\``;
}

function latencyTable({ scenarios, table }: DatapathReport, kind: "tcp" | "udp"): string {
  const sizes = table.sizes;
  const heads = sizes.map((size) => bytes(kind === "udp" ? Math.min(size, LARGEST_DATAGRAM) : size));
  const rows = table.scenarios.flatMap((name, i) => {
    const found = scenarios.find(({ scenario }) => scenario === name);
    const cells = sizes.map(
      (size) => found?.cells[`${kind} ${kind === "udp" ? Math.min(size, LARGEST_DATAGRAM) : size}`],
    );
    const seed = (kind === "tcp" ? SEED_TCP : SEED_UDP)[i] ?? [];
    const theirs = sizes.map((size) => {
      const value = seed[SEED_SIZES.indexOf(size as (typeof SEED_SIZES)[number])];
      const invalid = kind === "udp" && size > LARGEST_DATAGRAM;
      return invalid ? "not valid" : value === undefined ? "" : String(value);
    });
    return [
      [`${i + 1}. ${name}`, ...cells.map((cell) => (cell ? figure(cell.value.median) : ""))],
      ["ratio", ...cells.map((cell) => (cell ? ratioText(cell) : ""))],
      [`seed: ${SEED_SCENARIOS[i] ?? ""}`, ...theirs],
    ];
  });
  const note =
    kind === "udp"
      ? ` A datagram holds at most ${LARGEST_DATAGRAM} bytes; the seed's 64 KiB column is not valid.`
      : "";
  return `${kind.toUpperCase()} latency by size, microseconds.${note}\n\n${markdown([["scenario", ...heads], ...rows])}`;
}

/** Empty where nothing answered: there is nothing to compare. */
function ratioText({ ratio, verdict }: Compared["cells"][string]): string {
  if (!Number.isFinite(ratio.median)) return "";
  const text = `${ratio.median.toFixed(2)} [${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]`;
  return verdict === "tie" ? `${text} tie` : text;
}

function figure(value: number): string {
  return Number.isFinite(value) ? String(round(value, value < 100 ? 1 : 0)) : "no answer";
}

function bytes(size: number): string {
  return size >= 1024 && size % 1024 === 0 ? `${size / 1024} KiB` : `${size} B`;
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(3, ...all.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (row[i] ?? "").padEnd(width)).join(" | ")} |`;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join(
    "\n",
  );
}
