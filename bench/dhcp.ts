/**
 * `podtap bench dhcp`: the server's part of a lease at the guest's door. A guest's end of a real veth pair begins
 * DISCOVER-OFFER-REQUEST-ACK exchanges at fixed rates; the real serving loop answers in an unprivileged process of its
 * own behind a real bridge. What clients add (udhcpc waits 32 ms before its REQUEST) is not in the figures; what the
 * generator adds until it reads an answer is.
 */
import { parseArgs } from "node:util";
import { type BenchDoor, openBenchDoor } from "./dhcp-door.ts";
import { exchange } from "./dhcp-load.ts";
import { KUBEVIRT } from "./kubevirt.ts";
import { quantile, round } from "./statistics.ts";

export interface DhcpBenchOptions {
  /** Exchanges begun a second. */
  readonly rates: readonly number[];
  readonly seconds: number;
}

export interface DhcpRateReport {
  readonly rate: number;
  /** Exchanges a second that the generator really began: on a busy machine it falls behind. */
  readonly begunPerSecond: number;
  /** From a request to its answer, OFFERs and ACKs together. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Requests without an answer. */
  readonly lossPercent: number;
  readonly requests: number;
  /** Of the server process, user and system. */
  readonly cpuUsPerRequest: number;
}

export interface DhcpBenchReport {
  readonly name: "dhcp";
  readonly seconds: number;
  readonly rates: readonly DhcpRateReport[];
  readonly serverRssMiB: number;
}

/** The compiler of the server's code has seen everything after about this many exchanges. */
const WARM_UP = { rate: 1000, seconds: 2 };

export async function benchDhcp(options: DhcpBenchOptions): Promise<DhcpBenchReport> {
  const door = await openBenchDoor();
  try {
    await measure(door, WARM_UP.rate, WARM_UP.seconds);
    const rates: DhcpRateReport[] = [];
    for (const rate of options.rates) rates.push(await measure(door, rate, options.seconds));
    const { rssMiB } = await door.report();
    return { name: "dhcp", seconds: options.seconds, rates, serverRssMiB: round(rssMiB, 1) };
  } finally {
    await door.close();
  }
}

async function measure(door: BenchDoor, rate: number, seconds: number): Promise<DhcpRateReport> {
  const before = await door.report();
  const result = exchange(door.guestNetns, rate, seconds);
  const after = await door.report();
  return {
    rate,
    begunPerSecond: Math.round(result.begun / result.seconds),
    p50Ms: round(quantile(result.latenciesMs, 0.5), 3),
    p95Ms: round(quantile(result.latenciesMs, 0.95), 3),
    p99Ms: round(quantile(result.latenciesMs, 0.99), 3),
    lossPercent: round((100 * (result.requests - result.latenciesMs.length)) / result.requests, 3),
    requests: result.requests,
    cpuUsPerRequest: round(after.cpuUs / (after.received - before.received), 1),
  };
}

/** For bench/main.ts. */
export async function run(
  options: { readonly durationMs?: number } = {},
): Promise<Record<string, unknown> & { name: string }> {
  const report = await benchDhcp({
    rates: [1000, 5000, 10_000],
    seconds: (options.durationMs ?? 5000) / 1000,
  });
  const flat = report.rates.flatMap(({ rate, p50Ms, p95Ms, lossPercent, cpuUsPerRequest }) => [
    [`at ${rate}/s p50Ms`, p50Ms],
    [`at ${rate}/s p95Ms`, p95Ms],
    [`at ${rate}/s lossPercent`, lossPercent],
    [`at ${rate}/s cpuUsPerRequest`, cpuUsPerRequest],
  ]);
  return {
    name: report.name,
    ...Object.fromEntries(flat),
    serverRssMiB: report.serverRssMiB,
    kubevirtP50Ms: KUBEVIRT.dhcpP50Ms,
    "kubevirt at 10000/s lossPercent": KUBEVIRT.dhcpLossPercent,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rates: { type: "string", default: "1000,5000,10000" },
      seconds: { type: "string", default: "5" },
    },
  });
  const rates = values.rates.split(",").map(Number);
  const report = await benchDhcp({ rates, seconds: Number(values.seconds) });
  console.log(JSON.stringify(report, null, 2));
}
