/**
 * Starts the node daemon when nobody listens on its socket. The daemon holds a lock of its own, so several commands
 * at once may all try: one daemon wins, the others leave, and everybody waits for the same socket.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { Context } from "./context.ts";
import { daemonCommand } from "./daemon-command.ts";
import { formatElapsed } from "./terminal.ts";

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 15;
/** A wait shorter than this is nobody's business. */
const SILENT_MS = 1000;
/** How long another daemon may take after ours left without a word, most likely because that one holds the lock. */
const OTHERS_TIMEOUT_MS = 15_000;

/** Returns once the daemon answers; starts one first when the socket is absent or refuses. */
export async function ensureDaemon(context: Context, { quiet = false } = {}): Promise<void> {
  if (await isReady(context.paths.socket)) return;
  if (!mayStartDaemon(context)) throw needsRoot(context);
  const log = join(context.paths.run, "node.log");
  const child = launch(context, log);
  await waitUntilReady(context, child, log, quiet);
}

export function mayStartDaemon({ rootless }: Context): boolean {
  return rootless || process.geteuid?.() === 0;
}

function needsRoot({ paths }: Context): PodtapError {
  return new PodtapError({
    code: "PT-ENV-2",
    message: `no podtap daemon listens on ${paths.socket}, and starting one needs root`,
    hint: "run this with sudo, ask root to start 'podtap node', or add --rootless for VMs of your own",
  });
}

interface Launched {
  exit: { readonly code: number | null; readonly signal: string | null } | undefined;
  failure: Error | undefined;
}

function launch({ paths, rootless, environment }: Context, log: string): Launched {
  const [node, ...rest] = daemonCommand(["--auto", ...(rootless ? ["--rootless"] : [])]);
  mkdirSync(paths.run, { recursive: true, mode: rootless ? 0o700 : 0o755 });
  const output = openSync(log, "a", 0o600);
  const state: Launched = { exit: undefined, failure: undefined };
  try {
    const child = spawn(node, rest, {
      detached: true,
      cwd: "/",
      env: { ...environment },
      stdio: ["ignore", output, output],
    });
    child.once("error", (failure) => {
      state.failure = failure;
    });
    child.once("exit", (code, signal) => {
      state.exit = { code, signal };
    });
    child.unref();
  } finally {
    closeSync(output);
  }
  return state;
}

async function waitUntilReady(context: Context, child: Launched, log: string, quiet: boolean): Promise<void> {
  const { terminal, paths, signal } = context;
  const began = context.now();
  let told = quiet;
  let leftAt: number | undefined;
  while (!(await isReady(paths.socket))) {
    signal.throwIfAborted();
    const elapsed = context.now() - began;
    if (child.failure) throw notStarted(`it could not be run: ${messageOf(child.failure)}`, log);
    if (child.exit && child.exit.code !== 0 && !metLock(log)) {
      throw notStarted(describeExit(child.exit), log);
    }
    if (child.exit) leftAt ??= elapsed;
    if (leftAt !== undefined && elapsed - leftAt > OTHERS_TIMEOUT_MS) {
      throw notStarted("it left, and no other answers", log);
    }
    if (elapsed > START_TIMEOUT_MS) throw notStarted(`no answer after ${formatElapsed(elapsed)}`, log);
    if (elapsed > SILENT_MS && !told) {
      told = true;
      terminal.note(terminal.paint("dim", `starting the podtap daemon (log: ${log})\n`));
    }
    await pause(POLL_MS);
  }
}

/** Another daemon was faster (PT-NODE-2, src/apps/node/lock.ts); it is about to answer. */
function metLock(log: string): boolean {
  return lastLines(log, 3).includes("a podtap daemon already runs");
}

function describeExit({ code, signal }: NonNullable<Launched["exit"]>): string {
  return signal === null ? `it exited with status ${code}` : `it was ended by ${signal}`;
}

function notStarted(why: string, log: string): PodtapError {
  const last = lastLines(log, 8);
  return new PodtapError({
    code: "PT-ENV-3",
    message: `the podtap daemon did not start: ${why}${last === "" ? "" : `\n${last}`}`,
    hint: `the whole log is ${log}; 'podtap node' runs the daemon in the foreground`,
  });
}

function lastLines(file: string, count: number): string {
  try {
    const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(-count);
    return lines.map((line) => `  ${line}`).join("\n");
  } catch {
    return "";
  }
}

/** Is there a daemon behind the socket that has finished starting? */
export function isReady(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path: "/readyz", servername: "", timeout: 5000, agent: false };
    const asked = request(options, (answer) => {
      answer.resume();
      // 403: it is there, and will say in full why it does not listen to this user.
      resolve(answer.statusCode === 200 || answer.statusCode === 403);
    });
    asked.once("error", (failure) => {
      if ((failure as NodeJS.ErrnoException).code === "EACCES") reject(notAllowed(socketPath, failure));
      else resolve(false);
    });
    asked.once("timeout", () => asked.destroy());
    asked.end();
  });
}

function notAllowed(socketPath: string, cause: Error): PodtapError {
  return new PodtapError({
    code: "PT-ENV-4",
    message: `no permission to open ${socketPath}`,
    hint: "run this with sudo, or with --rootless for VMs of your own; who may use the daemon is root's choice",
    cause,
  });
}
