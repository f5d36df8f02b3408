/** What every command is given: the places, the terminal, how to stop, and what all commands accept. */
import type { Paths } from "../paths.ts";
import type { Terminal } from "./terminal.ts";

export interface Context {
  readonly paths: Paths;
  /** The daemon is this user's own. */
  readonly rootless: boolean;
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM; a second one ends the process. */
  readonly signal: AbortSignal;
  readonly verbose: boolean;
  /** Milliseconds since the epoch. */
  now(): number;
}
