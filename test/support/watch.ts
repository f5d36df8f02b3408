/** Programs that stay in a namespace and tell what they see, line by line. */
import { spawn } from "node:child_process";
import { eventually } from "./netns.ts";

export interface Watched {
  readonly pid: number;
  lines(): readonly string[];
}

type Scope = { after(fn: () => void): void };

/** Runs until the test is over; `ready` is what it says first, on either output. */
export async function watch(
  t: Scope,
  netns: string,
  ready: RegExp,
  ...command: readonly string[]
): Promise<Watched> {
  const child = spawn("ip", ["netns", "exec", netns, ...command], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  let seen = "";
  child.stdout.on("data", (data: Buffer) => {
    seen += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  await eventually(`${command[0]} says ${ready}`, () => ready.test(said + seen), 15_000);
  return { pid: child.pid ?? 0, lines: () => (seen + said).split("\n").filter(Boolean) };
}

/** Frames on a link that fit a filter of tcpdump's, a line each. */
export async function watchFrames(
  t: Scope,
  netns: string,
  link: string,
  filter: string,
): Promise<{ lines(): readonly string[] }> {
  const command = ["tcpdump", "-lnei", link, "--immediate-mode", filter];
  const { lines } = await watch(t, netns, /listening on/, ...command);
  return { lines: () => lines().filter((line) => /^\d\d:\d\d:\d\d/.test(line)) };
}
