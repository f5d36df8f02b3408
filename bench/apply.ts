/**
 * `podtap bench apply`: from `apply` to QEMU running, the guest's own boot left out, by the events that `podtap up`
 * shows. A daemon that has seen the machine before, and an image that is there: the first VM of a fresh daemon and
 * the ones after it apart.
 */
import { startOwnDaemon } from "./own-daemon.ts";
import { type Milestones, removeGuest, startGuest } from "./run-guest.ts";
import { quantile, round } from "./statistics.ts";

export interface ApplyReport {
  readonly name: "apply";
  readonly binding: string;
  readonly runs: number;
  /** The first VM of a fresh daemon. */
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Medians from `apply` on; the strands to disks and to the wiring go side by side. */
  readonly sandboxP50Ms: number;
  readonly cniP50Ms: number;
  readonly wiredP50Ms: number;
  readonly disksP50Ms: number;
  readonly startedP50Ms: number;
  /** From everything ready to QEMU running: libvirtd's remaining start, define, start. */
  readonly libvirtP50Ms: number;
}

export async function run(options: {
  readonly binding: string;
  /** One a VM. */
  readonly nics: number;
  note(text: string): void;
}): Promise<ApplyReport> {
  const { binding, nics: runs, note } = options;
  const daemon = await startOwnDaemon();
  try {
    const all: Milestones[] = [];
    for (let i = 0; i <= runs; i++) {
      const name = `bench-${i}`;
      const milestones = await startGuest(daemon, name, binding);
      note(
        `${name}  ${Object.entries(milestones)
          .map(([what, ms]) => `${what} ${ms.toFixed(0)}`)
          .join("  ")}\n`,
      );
      all.push(milestones);
      await removeGuest(daemon, name);
    }
    const [first, ...rest] = all;
    const of = (reason: string): readonly number[] => rest.flatMap((one) => one[reason] ?? []);
    const p50 = (values: readonly number[]): number => round(quantile(values, 0.5), 0);
    const started = of("Started");
    const ready = (one: Milestones): number => Math.max(one["Wired"] ?? 0, one["ImageReady"] ?? 0);
    return {
      name: "apply",
      binding,
      runs,
      firstMs: round(first?.["Started"] ?? Number.NaN, 0),
      p50Ms: p50(started),
      minMs: round(Math.min(...started), 0),
      maxMs: round(Math.max(...started), 0),
      sandboxP50Ms: p50(of("SandboxCreated")),
      cniP50Ms: p50(of("NetworkAttached")),
      wiredP50Ms: p50(of("Wired")),
      disksP50Ms: p50(of("ImageReady")),
      startedP50Ms: p50(started),
      libvirtP50Ms: p50(rest.map((one) => (one["Started"] ?? 0) - ready(one))),
    };
  } finally {
    await daemon.close();
  }
}
