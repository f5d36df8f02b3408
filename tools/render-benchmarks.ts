/**
 * Makes the tables of docs/benchmarks.md and docs/benchmarks-datapath.md from the reports of tools/bench.sh.
 *
 *   node tools/render-benchmarks.ts RESULTS [FILE [DATAPATHS]]     without a file: to standard output
 *
 * Of every figure the median over the rounds and their span, of all rounds that are in the folder.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { type DatapathReport, renderDatapath } from "../bench/datapath/report.ts";
import { quantile } from "../bench/statistics.ts";

const BEGIN = "<!-- figures: written by tools/bench.sh -->";
const QEMU_BEGIN = "<!-- figures with real guests: written by tools/bench.sh -->";
const END = "<!-- end of figures -->";
const [, , results = ".cache/bench", file, datapathFile] = process.argv;

type Report = Readonly<Record<string, unknown>>;

interface Row {
  readonly what: string;
  readonly scenario: string;
  readonly key: string;
  readonly unit: string;
  readonly digits: number;
  /** Met when the median is below. */
  readonly below?: number;
  readonly against?: string;
}

const KUBEVIRT = "KubeVirt's own figure";

const ROWS: readonly Row[] = [
  {
    what: "phase 1 of a NIC, p50",
    scenario: "phase1",
    key: "p50Ms",
    unit: "ms",
    digits: 1,
    below: 4,
    against: `${KUBEVIRT}: 121 ms`,
  },
  { what: "the fastest of them", scenario: "phase1", key: "minMs", unit: "ms", digits: 1 },
  { what: "p95", scenario: "phase1", key: "p95Ms", unit: "ms", digits: 1 },
  {
    what: "processor time",
    scenario: "phase1",
    key: "cpuMsPerNic",
    unit: "ms",
    digits: 1,
    against: `${KUBEVIRT}: 128 ms`,
  },
  { what: "the first after the daemon's start", scenario: "phase1", key: "firstMs", unit: "ms", digits: 0 },
  { what: "applied again, nothing to do, p50", scenario: "phase1", key: "againP50Ms", unit: "ms", digits: 1 },
  {
    what: "the same by `nft -f`, `ip -batch`, `sysctl`: 4 processes",
    scenario: "phase1",
    key: "batchedProcessesP50Ms",
    unit: "ms",
    digits: 1,
  },
  {
    what: "the same by a process a step",
    scenario: "phase1",
    key: "separateProcessesP50Ms",
    unit: "ms",
    digits: 0,
  },
  {
    what: "phase 1 of 1,000 NICs, p50",
    scenario: "phase1-many",
    key: "p50Ms",
    unit: "ms",
    digits: 1,
    below: 4,
  },
  {
    what: "p50 of the last tenth over the first",
    scenario: "phase1-many",
    key: "lastOverFirst",
    unit: "",
    digits: 2,
    below: 1.1,
  },
  {
    what: "`apply` to QEMU running, p50",
    scenario: "apply",
    key: "p50Ms",
    unit: "ms",
    digits: 0,
    below: 500,
  },
  { what: "the fastest of them", scenario: "apply", key: "minMs", unit: "ms", digits: 0 },
  { what: "the first VM of a fresh daemon", scenario: "apply", key: "firstMs", unit: "ms", digits: 0 },
  { what: "reached on the way: sandbox", scenario: "apply", key: "sandboxP50Ms", unit: "ms", digits: 0 },
  { what: "reached on the way: CNI", scenario: "apply", key: "cniP50Ms", unit: "ms", digits: 0 },
  { what: "reached on the way: wired", scenario: "apply", key: "wiredP50Ms", unit: "ms", digits: 0 },
  { what: "reached on the way: disks", scenario: "apply", key: "disksP50Ms", unit: "ms", digits: 0 },
  {
    what: "libvirt, from all that to running",
    scenario: "apply",
    key: "libvirtP50Ms",
    unit: "ms",
    digits: 0,
  },
  {
    what: "memory of a VM beside QEMU, RSS",
    scenario: "memory",
    key: "perVmRssMiB",
    unit: "MiB",
    digits: 0,
    below: 80,
    against: `${KUBEVIRT}: 190 MiB`,
  },
  { what: "the same, PSS", scenario: "memory", key: "perVmPssMiB", unit: "MiB", digits: 0 },
  { what: "of it: launcher, RSS", scenario: "memory", key: "launcherRssMiB", unit: "MiB", digits: 0 },
  { what: "of it: libvirtd, RSS", scenario: "memory", key: "libvirtdRssMiB", unit: "MiB", digits: 0 },
  { what: "node daemon, once a host, RSS", scenario: "memory", key: "daemonRssMiB", unit: "MiB", digits: 0 },
  { what: "the same, PSS", scenario: "memory", key: "daemonPssMiB", unit: "MiB", digits: 0 },
  ...[1000, 5000, 10_000].flatMap((rate): readonly Row[] => [
    {
      what: `DHCP at ${rate.toLocaleString("en")}/s, server's part, p50`,
      scenario: "dhcp",
      key: `p50Ms@${rate}`,
      unit: "ms",
      digits: 3,
      ...(rate === 1000 ? { below: 0.28, against: `${KUBEVIRT}: 0.28 ms` } : {}),
    },
    {
      what: "requests without an answer",
      scenario: "dhcp",
      key: `lossPercent@${rate}`,
      unit: "%",
      digits: 2,
      ...(rate === 10_000 ? { below: 1.6, against: `${KUBEVIRT}: 1.6 %` } : {}),
    },
  ]),
];

const reports = new Map<string, Report[]>();
/** By scenario. */
const loads = new Map<string, number[]>();
for (const name of readdirSync(results).toSorted()) {
  const text = readFileSync(join(results, name), "utf8");
  const [scenario = "", , ending] = name.split(".");
  if (ending === "load") loads.set(scenario, [...(loads.get(scenario) ?? []), Number(text)]);
  if (ending === "json")
    reports.set(scenario, [...(reports.get(scenario) ?? []), JSON.parse(text) as Report]);
}

put(file, render());
putDatapath("datapath", BEGIN);
putDatapath("datapath-qemu", QEMU_BEGIN);

function putDatapath(name: string, begin: string): void {
  const report = reports.get(name)?.at(-1) as DatapathReport | undefined;
  if (report !== undefined)
    put(
      datapathFile,
      `\n${machine()}. ${loadText(loads.get(name) ?? [])}\n\n${renderDatapath(report)}`,
      begin,
    );
}

/** Between the marker and the next end of figures. */
function put(page: string | undefined, text: string, marker = BEGIN): void {
  if (page === undefined) {
    process.stdout.write(text);
    return;
  }
  const whole = readFileSync(page, "utf8");
  const begin = whole.indexOf(marker);
  const end = whole.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`${page} lacks ${marker} … ${END}`);
  writeFileSync(page, `${whole.slice(0, begin + marker.length)}\n${text}${whole.slice(end)}`);
}

function render(): string {
  const lines = ROWS.flatMap((row) => renderRow(row));
  const rounds = reports.get("phase1")?.length ?? 0;
  return `
${machine()}, ${rounds} rounds. ${loadText([...loads.values()].flat())}

| | median | span over the rounds | target | |
|---|---|---|---|---|
${lines.join("\n")}

${verdict()}
${byBinding()}`;
}

/** Phase 1 of each binding, in one run. */
function byBinding(): string {
  const of = (reports.get("phase1-all")?.at(-1)?.["of"] ?? []) as readonly Report[];
  if (of.length === 0) return "";
  const columns = [
    ["binding", "binding"],
    ["p50Ms", "p50 ms"],
    ["minMs", "fastest"],
    ["p95Ms", "p95"],
    ["againP50Ms", "again, nothing to do"],
    ["batchedProcessesP50Ms", "by few processes"],
    ["separateProcessesP50Ms", "by a process a step"],
    ["kubevirtMs", `${KUBEVIRT}, ms`],
  ] as const;
  const row = (cells: readonly unknown[]): string => `| ${cells.map((cell) => cell ?? "").join(" | ")} |`;
  return `
Phase 1 of one NIC by binding, 50 of each, in one run:

${row(columns.map(([, head]) => head))}
${row(columns.map(() => "---"))}
${of.map((one) => row(columns.map(([key]) => one[key]))).join("\n")}
`;
}

function renderRow(row: Row): readonly string[] {
  const values = valuesOf(row);
  if (values.length === 0) return [];
  const shown = (value: number): string => value.toFixed(row.digits);
  const unit = row.unit === "" ? "" : ` ${row.unit}`;
  const middle = quantile(values, 0.5);
  const span =
    values.length === 1 ? "one round" : `${shown(Math.min(...values))} – ${shown(Math.max(...values))}`;
  const target =
    row.below === undefined ? "" : `< ${row.below}${unit}, ${middle < row.below ? "met" : "**missed**"}`;
  return [`| ${row.what} | ${shown(middle)}${unit} | ${span} | ${target} | ${row.against ?? ""} |`];
}

function verdict(): string {
  const missed = ROWS.filter((row) => row.below !== undefined && quantile(valuesOf(row), 0.5) >= row.below);
  if (missed.length === 0) return "All targets were met in these rounds.";
  const best = missed.map(
    (row) => `${row.what} (best round ${Math.min(...valuesOf(row)).toFixed(row.digits)} ${row.unit})`,
  );
  return `Missed in these rounds: ${best.join("; ")}.`;
}

function valuesOf({ scenario, key }: Row): readonly number[] {
  return (reports.get(scenario) ?? []).flatMap((report) => {
    const value = at(report, key);
    return typeof value === "number" ? [value] : [];
  });
}

/** `p50Ms@1000` is the report's `at 1000/s p50Ms`. */
function at(report: Report, key: string): unknown {
  const [name = "", rate] = key.split("@");
  if (rate === undefined) return report[name];
  return report[`at ${rate}/s ${name}`];
}

function machine(): string {
  const version = execFileSync("bin/podtap", ["version"], { encoding: "utf8" }).trim().split("\n")[0];
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const [cpu] = cpus();
  return `${date} UTC, commit ${commit} (${version}), ${cpus().length} × ${cpu?.model ?? "?"}, \
${Math.round(totalmem() / 1024 ** 3)} GiB, Linux ${release()}, Node ${process.version}`;
}

function loadText(found: readonly number[]): string {
  const shown = (load: number): string => load.toFixed(1);
  const span = `${shown(Math.min(...found))} – ${shown(Math.max(...found))}, median ${shown(quantile(found, 0.5))}`;
  const text =
    found.length === 1 ? `at the start: ${shown(found[0] ?? 0)}` : `at the start of each run: ${span}`;
  return `Load average ${text}; what is above 0 came from others.`;
}
