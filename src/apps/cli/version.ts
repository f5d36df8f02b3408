/** `podtap version`: what this program is and, when a daemon runs, what it is made of. Starts nothing. */
import { VERSION } from "../version.ts";
import { ApiClient } from "./client.ts";
import type { Context } from "./context.ts";
import { isReady } from "./daemon.ts";
import { EXIT, type ExitCode } from "./failure.ts";

export interface VersionOptions {
  readonly output: "text" | "json";
}

type Info = Readonly<Record<string, unknown>>;

export async function printVersion(context: Context, options: VersionOptions): Promise<ExitCode> {
  const { terminal, paths } = context;
  const client = { podtap: VERSION, node: process.versions.node };
  const daemon = (await isReady(paths.socket).catch(() => false)) ? await daemonInfo(context) : undefined;
  if (options.output === "json") {
    terminal.out(`${JSON.stringify({ client, ...(daemon && { daemon }) }, null, 2)}\n`);
    return EXIT.done;
  }
  const lines = [["podtap", VERSION], ["node", client.node], ...daemonLines(daemon, paths.socket)];
  const width = Math.max(...lines.map(([key = ""]) => key.length)) + 2;
  terminal.out(lines.map(([key = "", value]) => `${key.padEnd(width)}${value}\n`).join(""));
  return EXIT.done;
}

async function daemonInfo(context: Context): Promise<Info> {
  return (await new ApiClient(context.paths.socket).request("/podtap/v1/info")).body as Info;
}

function daemonLines(daemon: Info | undefined, socket: string): readonly (readonly [string, string])[] {
  if (daemon === undefined) return [["daemon", `none on ${socket}; commands that need it start it`]];
  // Settings are for -o json.
  const shown = Object.entries(daemon).filter(([key]) => key !== "config");
  return shown.map(([key, value]) => [`daemon ${key}`, plainText(value)] as const);
}

function plainText(value: unknown): string {
  if (Array.isArray(value)) return value.map(plainText).join(" ");
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([key, inner]) => `${key} ${plainText(inner)}`)
      .join(", ");
  }
  return String(value);
}
