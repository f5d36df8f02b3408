/** Keeps the chosen ranges (pod-ranges.ts) across restarts and reboots: addresses people have noted stay valid. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseCidr } from "../../../base/ip.ts";
import {
  type Choice,
  chooseRanges,
  type HostFacts,
  type NetworkRanges,
  type RangePair,
} from "./pod-ranges.ts";

/** Reads, chooses, and stores what is new. */
export function settleRanges(path: string, podsRunning: boolean, host: HostFacts): Choice {
  const choice = chooseRanges(readRanges(path), podsRunning, host);
  if (choice.changed) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, `${JSON.stringify(choice.ranges, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  }
  return choice;
}

/** Undefined when there is none, or when somebody has edited it into nonsense. */
export function readRanges(path: string): NetworkRanges | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    if ((thrown as { code?: string }).code === "ENOENT") return undefined;
    throw thrown;
  }
  try {
    const { pods, services } = JSON.parse(text) as Record<string, unknown>;
    const pair = { pods: toPair(pods), services: toPair(services) };
    return pair.pods && pair.services ? { pods: pair.pods, services: pair.services } : undefined;
  } catch {
    return undefined;
  }
}

function toPair(value: unknown): RangePair | undefined {
  const { v4, v6 } = (value ?? {}) as { v4?: unknown; v6?: unknown };
  const [four, six] = [v4, v6].map((text) => (typeof text === "string" ? parseCidr(text) : undefined));
  return four === undefined ? undefined : { v4: four, ...(six !== undefined && { v6: six }) };
}
