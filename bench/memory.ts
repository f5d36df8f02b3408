/**
 * `podtap bench memory`: what a VM needs beside QEMU itself, and the node daemon once for the host. Looked at some
 * seconds after the start, when the processes have let go of what only their start needed.
 */
import { setTimeout as pause } from "node:timers/promises";
import { KUBEVIRT } from "./kubevirt.ts";
import { startOwnDaemon } from "./own-daemon.ts";
import { memoryBelow, type ProcessMemory } from "./process-memory.ts";
import { startGuest } from "./run-guest.ts";
import { quantile, round } from "./statistics.ts";

export interface MemoryReport {
  readonly name: "memory";
  readonly binding: string;
  readonly vms: number;
  readonly settledSeconds: number;
  /** A VM's share: launcher, libvirtd, catatonit. Medians over the VMs. */
  readonly perVmRssMiB: number;
  readonly perVmPssMiB: number;
  readonly launcherRssMiB: number;
  readonly launcherPssMiB: number;
  readonly libvirtdRssMiB: number;
  readonly libvirtdPssMiB: number;
  readonly catatonitRssMiB: number;
  readonly qemuRssMiB: number;
  /** Once a host. */
  readonly daemonRssMiB: number;
  readonly daemonPssMiB: number;
  /** A figure of its own: not measured here. */
  readonly kubevirtOverheadMiB: number;
}

const SETTLE_SECONDS = 15;

export async function run(options: {
  readonly binding: string;
  /** One a VM. */
  readonly nics: number;
  note(text: string): void;
}): Promise<MemoryReport> {
  const { binding, nics: vms, note } = options;
  const daemon = await startOwnDaemon();
  try {
    for (let i = 0; i < vms; i++) await startGuest(daemon, `bench-${i}`, binding);
    note(`${vms} VMs run; ${SETTLE_SECONDS} s to settle\n`);
    await pause(SETTLE_SECONDS * 1000);
    const all = memoryBelow(daemon.rootPid);
    for (const one of all) note(`${one.name.padEnd(24)} RSS ${one.rssMiB} MiB  PSS ${one.pssMiB} MiB\n`);
    const named = (name: RegExp): readonly ProcessMemory[] => all.filter((one) => name.test(one.name));
    const p50 = (found: readonly ProcessMemory[], key: "rssMiB" | "pssMiB"): number =>
      round(
        quantile(
          found.map((one) => one[key]),
          0.5,
        ),
        1,
      );
    const launchers = named(/^launcher\.js$/);
    const libvirtds = named(/^libvirtd$/);
    // The first one is the benchmark's own, in which the daemon runs.
    const inits = named(/^catatonit$/).slice(1);
    const sum = (key: "rssMiB" | "pssMiB"): number =>
      round([launchers, libvirtds, inits].flat().reduce((total, one) => total + one[key], 0) / vms, 1);
    return {
      name: "memory",
      binding,
      vms,
      settledSeconds: SETTLE_SECONDS,
      perVmRssMiB: sum("rssMiB"),
      perVmPssMiB: sum("pssMiB"),
      launcherRssMiB: p50(launchers, "rssMiB"),
      launcherPssMiB: p50(launchers, "pssMiB"),
      libvirtdRssMiB: p50(libvirtds, "rssMiB"),
      libvirtdPssMiB: p50(libvirtds, "pssMiB"),
      catatonitRssMiB: p50(inits, "rssMiB"),
      qemuRssMiB: p50(named(/^qemu-system/), "rssMiB"),
      daemonRssMiB: p50(named(/^node\.js$/), "rssMiB"),
      daemonPssMiB: p50(named(/^node\.js$/), "pssMiB"),
      kubevirtOverheadMiB: KUBEVIRT.overheadMiB,
    };
  } finally {
    await daemon.close();
  }
}
