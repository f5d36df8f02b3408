/** Entry of the command line: parses, runs one command, turns what happens into an exit code. */
import { type Command, CommanderError } from "commander";
import { pathsFrom, rootlessPaths } from "../paths.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode, exitCodeOf, failureAsJson, renderFailure } from "./failure.ts";
import { buildProgram } from "./program.ts";
import { systemTerminal } from "./terminal.ts";

await leave(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<ExitCode> {
  const terminal = systemTerminal();
  const signal = interruptSignal();
  let code: ExitCode = EXIT.done;
  let active: Command | undefined;
  const program = buildProgram(
    async (work) => {
      const rootless = isRootless(program);
      const context: Context = {
        paths: rootless ? rootlessPaths(process.env, process.geteuid?.() ?? 0) : pathsFrom(process.env),
        rootless,
        terminal,
        environment: process.env,
        signal,
        verbose: isVerbose(program),
        now: () => Date.now(),
      };
      code = await work(context);
    },
    { out: terminal.out, err: terminal.note },
  ).hook("preAction", (_program, command) => {
    active = command;
  });
  try {
    await program.parseAsync(words.length === 0 ? ["--help"] : words, { from: "user" });
    return code;
  } catch (thrown) {
    terminal.status("");
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (signal.aborted) return EXIT.interrupted;
    const asJson = active?.opts()["output"] === "json";
    terminal.note(asJson ? failureAsJson(thrown) : renderFailure(thrown, isVerbose(program)));
    return exitCodeOf(thrown);
  }
}

function isVerbose(program: Command): boolean {
  return program.opts()["verbose"] === true;
}

function isRootless(program: Command): boolean {
  return program.opts()["rootless"] === true || process.env["PODTAP_ROOTLESS"] === "1";
}

/** The first Ctrl-C lets the command finish what must be finished; the second does not wait. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return controller.signal;
}

/** Leaves at once, but not before a pipe has taken everything; whoever closed it early has read enough. */
async function leave(code: ExitCode): Promise<never> {
  process.stdout.on("error", () => process.exit(code));
  await new Promise<void>((written) => process.stdout.write("", () => written()));
  process.exit(code);
}
