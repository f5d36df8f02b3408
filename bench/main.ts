/** `podtap bench SCENARIO`: runs one scenario and prints its report, as a table for people or JSON for the docs. */
import { PodtapError } from "../src/base/errors.ts";
import type { DatapathReport } from "./datapath/report.ts";

/** What a scenario measured: its name and figures, units in the keys. */
type Report = { readonly name: string } & Readonly<Record<string, unknown>>;

export interface BenchRun {
  readonly binding: string;
  readonly nics?: number;
  readonly durationMs?: number;
  readonly rounds?: number;
  /** Less of it, for looking. */
  readonly quick?: boolean;
  /** Of datapath: what plays the guest. */
  readonly guest?: "namespace" | "qemu";
  readonly signal?: AbortSignal;
  /** For people, while it runs. */
  note(text: string): void;
}

interface Scenario {
  readonly nics: number;
  run(options: BenchRun & { readonly nics: number }): Promise<Report>;
  /** Default: its figures, one a line. */
  render?(report: Report): Promise<string>;
}

/** A new scenario is a file that exports `run` and a line here. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  phase1: {
    nics: 50,
    run: async (options) => ({ ...(await (await import("./phase1.ts")).runAny(options)) }),
    render: renderPhase1,
  },
  dhcp: { nics: 1, run: async (options) => (await import("./dhcp.ts")).run(options) },
  apply: { nics: 9, run: async (options) => ({ ...(await (await import("./apply.ts")).run(options)) }) },
  datapath: {
    nics: 1,
    run: async (options) => ({ ...(await (await import("./datapath.ts")).run(options)) }),
    render: async (report) =>
      (await import("./datapath/report.ts")).renderDatapath(report as unknown as DatapathReport),
  },
  memory: { nics: 2, run: async (options) => ({ ...(await (await import("./memory.ts")).run(options)) }) },
};

export async function runBench(
  scenario: string,
  options: BenchRun,
  output: "text" | "json",
): Promise<string> {
  const found = Object.hasOwn(SCENARIOS, scenario) ? SCENARIOS[scenario] : undefined;
  if (found === undefined) {
    throw new PodtapError({
      code: "PT-USAGE-1",
      message: `no scenario called ${scenario}`,
      hint: `there are: ${Object.keys(SCENARIOS).join(", ")}`,
    });
  }
  const report = await found.run({ ...options, nics: options.nics ?? found.nics });
  if (output === "json") return `${JSON.stringify(report, null, 2)}\n`;
  return found.render === undefined ? renderReport(report) : await found.render(report);
}

/** Of several bindings a table, of one its figures. */
async function renderPhase1(report: Report): Promise<string> {
  const of = report["of"] as readonly Report[] | undefined;
  if (of === undefined) return renderReport(report);
  const columns = [
    "binding",
    "p50Ms",
    "p95Ms",
    "minMs",
    "cpuMsPerNic",
    "againP50Ms",
    "batchedProcessesP50Ms",
    "separateProcessesP50Ms",
    "kubevirtMs",
  ];
  const rows = [columns, ...of.map((one) => columns.map((key) => String(one[key] ?? "")))];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** `p50Ms` becomes `p50  1.9 ms`: the unit is the key's last word. */
function renderReport(report: Report): string {
  const { name, ...figures } = report;
  const rows = Object.entries({ name, ...figures }).map(([key, value]) => {
    const { label, unit } = splitUnit(key);
    return [label, `${format(value)}${unit === "" ? "" : ` ${unit}`}`] as const;
  });
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join("");
}

const UNITS: readonly (readonly [suffix: string, unit: string])[] = [
  ["MsPerNic", "ms a NIC"],
  ["UsPerRequest", "µs a request"],
  ["Ms", "ms"],
  ["Us", "µs"],
  ["MiB", "MiB"],
  ["KiB", "KiB"],
  ["Percent", "%"],
];

function splitUnit(key: string): { readonly label: string; readonly unit: string } {
  const found = UNITS.find(([suffix]) => key.endsWith(suffix));
  const stem = found === undefined ? key : key.slice(0, -found[0].length);
  return { label: stem.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, " ").toLowerCase(), unit: found?.[1] ?? "" };
}

function format(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
