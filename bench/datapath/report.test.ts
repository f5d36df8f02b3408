import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cell, Figures } from "./measure.ts";
import { compare, type DatapathReport, renderDatapath } from "./report.ts";

const CELLS: readonly Cell[] = [
  { kind: "tcp", size: 64 },
  { kind: "udp", size: 65507 },
  { kind: "send", size: 0 },
];
const PATHS = new Map([
  ["wire", "br0 - tap"],
  ["detour", "br0 - veth - tap"],
]);
/** Six rounds, the least that can decide; each round is as slow as the machine was in it. */
const MOODS = [1, 2, 1, 3, 1, 2];

function figures(
  scenarios: Readonly<Record<string, readonly [tcp: number, udp: number, send: number]>>,
): Figures {
  return new Map(
    Object.entries(scenarios).map(([name, [tcp, udp, send]]) => [
      name,
      new Map([
        ["tcp 64", MOODS.map((mood) => tcp * mood)],
        ["udp 65507", MOODS.map((mood) => udp * mood)],
        ["send", MOODS.map((mood) => send / mood)],
      ]),
    ]),
  );
}

const MEASURED = figures({ wire: [10, 100, 4], detour: [12.5, Number.NaN, 2] });

test("ratios are of times, of streams too: half the throughput takes twice as long", () => {
  const [wire, detour] = compare(MEASURED, CELLS, PATHS, "wire");
  assert.equal(detour?.path, "br0 - veth - tap");
  const { "tcp 64": tcp, send } = detour.cells;
  assert.deepEqual([tcp?.ratio.low, tcp?.ratio.high, tcp?.verdict], [1.25, 1.25, "slower"]);
  assert.deepEqual([send?.ratio.median, send?.verdict], [2, "slower"]);
  assert.equal(send?.value.median, 1.5);
  assert.ok(
    CELLS.every(({ kind, size }) => wire?.cells[size === 0 ? kind : `${kind} ${size}`]?.verdict === "tie"),
  );
});

test("a cell without answers decides nothing", () => {
  const [, detour] = compare(MEASURED, CELLS, PATHS, "wire");
  assert.equal(detour?.cells["udp 65507"]?.verdict, "too few rounds");
});

const REPORT: DatapathReport = {
  name: "datapath",
  guest: "made up",
  processors: "On paper.",
  rounds: 6,
  millisecondsPerCell: 80,
  mtu: 1500,
  baseline: "wire",
  scenarios: compare(MEASURED, CELLS, PATHS, "wire"),
  leftOut: [{ scenario: "passt", why: "no tap" }],
  table: { scenarios: ["wire", "detour"], sizes: [65536, 64] },
};

const GOLDEN = `Guest: made up. 6 interleaved rounds, 80 ms a cell, MTU 1500. Latency is half a round trip, microseconds (median of the rounds' medians); ratios are of times, against "wire" of the same round: 1.05 takes 5 % longer. In brackets the 95 % interval; one that holds 1 is a tie. On paper. Left out: passt (no tap).

| scenario | TCP 64 B | ratio                 | UDP 64 B | ratio | out Gb/s | ratio                 | in Gb/s | ratio | path             |
|----------|----------|-----------------------|----------|-------|----------|-----------------------|---------|-------|------------------|
| wire     | 15       | 1.00 [1.00, 1.00] tie |          |       | 3        | 1.00 [1.00, 1.00] tie |         |       | br0 - tap        |
| detour   | 18.8     | 1.25 [1.25, 1.25]     |          |       | 1.5      | 2.00 [2.00, 2.00]     |         |       | br0 - veth - tap |

TCP round trip of 64 bytes against "wire", with intervals:

\`\`\`
wire   █████████████████████████┃ 1.00
detour ███████████████████████████████┃ 1.25
\`\`\`

TCP latency by size, microseconds.

| scenario                             | 64 KiB | 64 B                  |
|--------------------------------------|--------|-----------------------|
| 1. wire                              |        | 15                    |
| ratio                                |        | 1.00 [1.00, 1.00] tie |
| seed: custom VM, direct tap          | 135    | 48.5                  |
| 2. detour                            |        | 18.8                  |
| ratio                                |        | 1.25 [1.25, 1.25]     |
| seed: custom VM, tap + bridge + veth | 133    | 55.7                  |

UDP latency by size, microseconds. A datagram holds at most 65507 bytes; the seed's 64 KiB column is not valid.

| scenario                             | 65507 B               | 64 B |
|--------------------------------------|-----------------------|------|
| 1. wire                              | 150                   |      |
| ratio                                | 1.00 [1.00, 1.00] tie |      |
| seed: custom VM, direct tap          | not valid             | 43.2 |
| 2. detour                            | no answer             |      |
| ratio                                |                       |      |
| seed: custom VM, tap + bridge + veth | not valid             | 48.5 |
`;

test("the report as text: overview, chart, and both tables with the seed's figures", () => {
  assert.equal(renderDatapath(REPORT), GOLDEN);
});

test("without sizes there are no tables, and few rounds are called so", () => {
  const text = renderDatapath({ ...REPORT, rounds: 5, leftOut: [], table: { scenarios: [], sizes: [] } });
  assert.ok(!text.includes("latency by size") && !text.includes("Left out"));
  assert.match(text, /too few rounds for such an interval/);
});
