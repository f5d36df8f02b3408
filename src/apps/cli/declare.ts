/** Small pieces that the declarations of commands share: options with kubectl's spelling, examples under --help. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Context } from "./context.ts";
import type { ExitCode } from "./failure.ts";
import { parseDuration } from "./terminal.ts";

/** Runs a command's work, which is loaded when it is wanted, and keeps its exit code for the end. */
export type Run = (work: (context: Context) => Promise<ExitCode>) => Promise<void>;

export interface Example {
  readonly does: string;
  readonly command: string;
}

export function examples(command: Command, ...list: readonly Example[]): Command {
  const text = list.map(({ does, command: line }) => `  # ${does}\n  podtap ${line}`).join("\n\n");
  return command.addHelpText("after", `\nExamples:\n${text}`);
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

export function duration(value: string): number {
  const milliseconds = parseDuration(value);
  if (milliseconds === undefined) throw new InvalidArgumentError("write it like 30s, 5m or 1m30s.");
  return milliseconds;
}

export function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError("it must be a whole number.");
  return Number(value);
}

export function portNumber(value: string): number {
  const port = wholeNumber(value);
  if (port < 1 || port > 65535) throw new InvalidArgumentError("a port is 1 to 65535.");
  return port;
}

export const fileOption = (): Option =>
  new Option("-f, --filename <file>", "manifest file, folder, or - for stdin; may be repeated").argParser(
    collect,
  );

export const namespaceOption = (): Option =>
  new Option("-n, --namespace <namespace>", "namespace of the object").default("default");

export const outputOption = (...formats: readonly string[]): Option =>
  new Option("-o, --output <format>", "how to print it").choices(formats);
