/**
 * The same phase 1 by the programs that administrators have, for comparison: `ip`, `sysctl` and `nft` as child
 * processes, one a step or batched, from the plan that podtap made. Observing, planning and undo are not in it.
 */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderReplace } from "../src/nft/render.ts";
import type { Step } from "../src/plan/step.ts";

export interface Baseline {
  readonly milliseconds: number;
  readonly processes: number;
}

/** One process a step. */
export function runSeparately(netns: string, steps: readonly Step[]): Baseline {
  return timed((run) => {
    for (const step of steps) {
      if (step.op === "nft.replace") withFile(renderReplace(step.tables), (file) => run("nft", "-f", file));
      else if (step.op === "sysctl.set") run("sysctl", "-qw", sysctlOf(step));
      else for (const words of ipCommands(step)) run("ip", ...words);
    }
  }, netns);
}

/** `nft -f`, `ip -batch`, `sysctl` with all keys, `ip -batch`. */
export function runBatched(netns: string, steps: readonly Step[]): Baseline {
  const firstSetting = steps.findIndex(({ op }) => op === "sysctl.set");
  const before = steps.slice(0, firstSetting);
  const after = steps.slice(firstSetting);
  return timed((run) => {
    for (const step of before) {
      if (step.op === "nft.replace") withFile(renderReplace(step.tables), (file) => run("nft", "-f", file));
    }
    const batch = (some: readonly Step[]): string =>
      some.flatMap((step) => ipCommands(step).map((words) => `${words.join(" ")}\n`)).join("");
    withFile(batch(before), (file) => run("ip", "-batch", file));
    run("sysctl", "-qw", ...after.flatMap((step) => (step.op === "sysctl.set" ? [sysctlOf(step)] : [])));
    withFile(batch(after), (file) => run("ip", "-batch", file));
  }, netns);
}

type Run = (...command: readonly string[]) => void;

function timed(work: (run: Run) => void, netns: string): Baseline {
  let processes = 0;
  const begun = performance.now();
  work((program, ...words) => {
    processes += 1;
    execFileSync("nsenter", [`--net=${netns}`, "--", program, ...words]);
  });
  return { milliseconds: performance.now() - begun, processes };
}

function ipCommands(step: Step): readonly (readonly string[])[] {
  switch (step.op) {
    case "bridge.add":
      return [
        ["link", "add", step.name, ...(step.mac ? ["address", step.mac] : []), "type", "bridge"],
        ["link", "set", step.name, "mtu", String(step.mtu)],
      ];
    case "tap.add":
      return [
        ["tuntap", "add", step.name, "mode", "tap", "user", String(step.uid), "vnet_hdr"],
        ["link", "set", step.name, "mtu", String(step.mtu)],
      ];
    case "address.add":
      return [
        ["address", "add", step.address, "dev", step.link, ...(step.address.includes(":") ? ["nodad"] : [])],
      ];
    case "link.set": {
      const { master, up } = step.changes;
      return [["link", "set", step.name, ...(master ? ["master", master] : []), ...(up ? ["up"] : [])]];
    }
    default:
      return [];
  }
}

function sysctlOf({ key, value }: { readonly key: string; readonly value: string }): string {
  return `${key}=${value}`;
}

/** Not by a pipe: `nft -f -` cannot open the sockets that Node's pipes are. */
function withFile(text: string, use: (path: string) => void): void {
  const path = join(tmpdir(), `podtap-bench-${process.pid}`);
  writeFileSync(path, text);
  try {
    use(path);
  } finally {
    rmSync(path);
  }
}
