/** Runs podtap's commands in this process, with a terminal that remembers what was said. */

import { CommanderError } from "commander";
import type { Context } from "../../src/apps/cli/context.ts";
import { EXIT, type ExitCode, exitCodeOf, renderFailure } from "../../src/apps/cli/failure.ts";
import { buildProgram } from "../../src/apps/cli/program.ts";
import { pathsFrom } from "../../src/apps/paths.ts";

export interface CliResult {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export async function runCli(
  words: readonly string[],
  folder = "/nonexistent",
  signal: AbortSignal = new AbortController().signal,
): Promise<CliResult> {
  let out = "";
  let err = "";
  let code: ExitCode = EXIT.done;
  const context: Context = {
    paths: pathsFrom({ PODTAP_RUN_DIR: folder, PODTAP_STATE_DIR: folder }),
    terminal: {
      live: false,
      columns: 80,
      colours: false,
      coloursOut: false,
      out: (text) => {
        out += text;
      },
      note: (text) => {
        err += text;
      },
      status: () => undefined,
      paint: (_format, text) => text,
      paintOut: (_format, text) => text,
    },
    environment: {},
    signal,
    verbose: false,
    rootless: false,
    now: () => Date.now(),
  };
  const program = buildProgram(
    async (work) => {
      code = await work(context);
    },
    { out: context.terminal.out, err: context.terminal.note },
  );
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (thrown) {
    if (thrown instanceof CommanderError) code = thrown.exitCode === 0 ? EXIT.done : EXIT.usage;
    else {
      err += renderFailure(thrown, false);
      code = exitCodeOf(thrown);
    }
  }
  return { code, out, err };
}
