/**
 * The same phase 1 by the programs that administrators have, for comparison: `ip`, `bridge`, `tc`, `sysctl` and `nft`
 * as child processes, one a step or batched, from the plan that podtap made. Observing, planning and undo are not in it.
 */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderReplace } from "../src/nft/render.ts";
import type { LinkChanges, Step } from "../src/plan/step.ts";

export interface Baseline {
  readonly milliseconds: number;
  readonly processes: number;
}

/** One process a step. */
export function runSeparately(netns: string, steps: readonly Step[]): Baseline {
  return timed((run) => {
    for (const step of steps) {
      if (step.op === "nft.replace") withFile(renderReplace(step.tables), (file) => run("nft", "-f", file));
      else for (const [program, ...words] of commandsOf(step)) run(program, ...words);
    }
  }, netns);
}

/** In the same order, and as few processes as that takes: `nft -f`, `ip -batch`, `bridge -batch`, `tc -batch`, `sysctl`. */
export function runBatched(netns: string, steps: readonly Step[]): Baseline {
  return timed((run) => {
    const waiting: Command[] = [];
    const flush = (): void => {
      const [first] = waiting;
      if (first === undefined) return;
      const [program] = first;
      const all = waiting.splice(0).map(([, ...words]) => words);
      if (program === "sysctl") run(program, "-qw", ...all.flatMap((words) => words.slice(1)));
      else
        withFile(all.map((words) => `${words.join(" ")}\n`).join(""), (file) => run(program, "-batch", file));
    };
    for (const step of steps) {
      if (step.op === "nft.replace") {
        flush();
        withFile(renderReplace(step.tables), (file) => run("nft", "-f", file));
      }
      for (const command of commandsOf(step)) {
        if (waiting[0] !== undefined && waiting[0][0] !== command[0]) flush();
        waiting.push(command);
      }
    }
    flush();
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

type Command = readonly [program: string, ...words: string[]];

function commandsOf(step: Step): readonly Command[] {
  switch (step.op) {
    case "bridge.add":
      return [
        ["ip", "link", "add", step.name, ...(step.mac ? ["address", step.mac] : []), "type", "bridge"],
        ["ip", "link", "set", step.name, "mtu", String(step.mtu)],
      ];
    case "tap.add":
      return [
        ["ip", "tuntap", "add", step.name, "mode", "tap", "user", String(step.uid), "vnet_hdr"],
        ["ip", "link", "set", step.name, "mtu", String(step.mtu)],
      ];
    case "park.add":
      return [["ip", "link", "add", step.name, "address", step.mac, "type", step.kind]];
    case "macvlan.add": {
      const kind = step.tap ? "macvtap" : "macvlan";
      const over = ["link", step.lower, "name", step.name, "address", step.mac];
      return [["ip", "link", "add", ...over, "type", kind, "mode", step.mode]];
    }
    case "link.set":
      return linkCommands(step.name, step.changes);
    case "link.delete":
      return [["ip", "link", "delete", step.name]];
    case "address.add":
      return [
        [
          "ip",
          "address",
          "add",
          step.address,
          "dev",
          step.link,
          ...(step.address.includes(":") ? ["nodad"] : []),
        ],
      ];
    case "address.delete":
      return [["ip", "address", "delete", step.address, "dev", step.link]];
    case "route.delete":
      return [["ip", "route", "delete", step.route.destination, "dev", step.route.link]];
    case "neighbour.add":
      return [["ip", "neigh", "replace", step.ip, "lladdr", step.mac, "dev", step.link, "nud", "permanent"]];
    case "fdb.add":
      return [["bridge", "fdb", "replace", step.mac, "dev", step.port, "master", "static"]];
    case "redirect.set":
      // The simplest that joins the two: without what stays local.
      return [
        ["tc", "qdisc", "add", "dev", step.link, "ingress"],
        [
          ...(["tc", "filter", "add", "dev", step.link, "parent", "ffff:", "protocol", "all"] as const),
          ...["u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev"],
          step.redirect.to,
        ],
      ];
    case "sysctl.set":
      return [["sysctl", "-qw", `${step.key}=${step.value}`]];
    default:
      return [];
  }
}

function linkCommands(name: string, { rename, mac, mtu, master, up, port }: LinkChanges): readonly Command[] {
  const link = rename ?? name;
  const words = [
    ...(mac ? ["address", mac] : []),
    ...(mtu ? ["mtu", String(mtu)] : []),
    ...(master ? ["master", master] : []),
    ...(up ? ["up"] : []),
  ];
  const flags = [
    ...(port?.learning === undefined ? [] : ["learning", onOff(port.learning)]),
    ...(port?.neighbourSuppression === undefined ? [] : ["neigh_suppress", onOff(port.neighbourSuppression)]),
  ];
  return [
    ...(rename ? [["ip", "link", "set", name, "name", rename] as const] : []),
    ...(words.length > 0 ? [["ip", "link", "set", link, ...words] as const] : []),
    ...(flags.length > 0 ? [["bridge", "link", "set", "dev", link, ...flags] as const] : []),
  ];
}

function onOff(value: boolean): string {
  return value ? "on" : "off";
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
