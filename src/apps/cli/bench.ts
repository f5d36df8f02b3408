/** `podtap bench`: measures on this machine. The scenarios live in bench/. */
import type { BenchRun } from "../../../bench/main.ts";
import type { Context } from "./context.ts";
import type { ExitCode } from "./failure.ts";

export interface BenchOptions {
  readonly binding: string;
  readonly nics?: number;
  /** Milliseconds. */
  readonly duration?: number;
  readonly rounds?: number;
  readonly quick?: boolean;
  readonly guest?: "namespace" | "qemu";
  readonly output: "text" | "json";
}

export async function bench(context: Context, scenario: string, options: BenchOptions): Promise<ExitCode> {
  const { runBench } = await import("../../../bench/main.ts");
  const run: BenchRun = {
    binding: options.binding,
    ...(options.nics !== undefined && { nics: options.nics }),
    ...(options.duration !== undefined && { durationMs: options.duration }),
    ...(options.rounds !== undefined && { rounds: options.rounds }),
    ...(options.quick !== undefined && { quick: options.quick }),
    ...(options.guest !== undefined && { guest: options.guest }),
    signal: context.signal,
    note: context.terminal.note,
  };
  context.terminal.out(await runBench(scenario, run, options.output));
  return 0;
}
