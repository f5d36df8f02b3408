/**
 * `podtap console`: joins the terminal with the guest's serial port.
 *
 * On a terminal, every key goes to the guest (raw mode) except Ctrl-], which leaves, as with virtctl. Whatever
 * happens the terminal is restored. In a pipe, stdin is sent and what comes back is printed until the time is over,
 * or until the guest's end closes. The guest outlives its daemon: where that one goes, the next one joins again, and
 * what was typed in between is lost.
 */
import type { Duplex } from "node:stream";
import type { ApiClient } from "./client.ts";
import { connect, subresourcePath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";
import { parseTarget } from "./target.ts";

export interface ConsoleOptions {
  readonly namespace: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** Ctrl-], telnet's and virtctl's. */
export const ESCAPE_BYTE = 0x1d;
/** A script that gives no time still gets what the guest says to its last line. */
const PIPE_TIMEOUT_MS = 5000;

export async function openConsole(
  context: Context,
  name: string,
  options: ConsoleOptions,
): Promise<ExitCode> {
  const target = parseTarget(name);
  const client = connect(context);
  const path = subresourcePath(options.namespace, target.name, "console");
  const { terminal } = context;
  const typed = process.stdin.isTTY === true;
  const until = options.timeout === undefined ? undefined : context.now() + options.timeout;
  let why: End = "lost";
  for (let again = false; why === "lost"; again = true) {
    const daemon = await daemonOf(client);
    const guest = await client.stream(path, { method: "GET", signal: context.signal });
    if (again) terminal.note(terminal.paint("dim", `the console of ${target.name} is joined again\n`));
    if (typed) terminal.note(terminal.paint("dim", `connected to ${target.name}; Ctrl-] leaves\n`));
    const joined = join(context, guest, typed, until === undefined ? undefined : until - context.now());
    // Another command may have had the daemon back by now: it is another one then.
    const isLost = async (): Promise<boolean> => (await daemonOf(client)) !== daemon;
    why = await joined.catch(async (failure): Promise<End> => {
      if (await isLost()) return "lost";
      throw failure;
    });
    if (why === "closed" && (await isLost())) why = "lost";
  }
  if (typed) {
    terminal.note(terminal.paint("dim", `\r\n${why === "closed" ? "the VM closed the console" : "left"}\n`));
  }
  return EXIT.done;
}

async function daemonOf(client: ApiClient): Promise<number | undefined> {
  return ((await client.request("/podtap/v1/info")).body as { readonly pid?: number }).pid;
}

/** `lost`: the daemon went, not the guest. */
type End = "closed" | "lost" | "escape" | "timeout" | "interrupted";

function join(context: Context, guest: Duplex, typed: boolean, timeout: number | undefined): Promise<End> {
  const { stdin, stdout } = process;
  return new Promise((resolve, reject) => {
    const timers: NodeJS.Timeout[] = [];
    const finish = (end: End | Error): void => {
      for (const timer of timers) clearTimeout(timer);
      if (typed) stdin.setRawMode(false);
      stdin.removeAllListeners("data").pause();
      guest.removeAllListeners("data").destroy();
      if (end instanceof Error) reject(end);
      else resolve(end);
    };
    if (timeout !== undefined) timers.push(setTimeout(finish, Math.max(0, timeout), "timeout"));
    guest.on("data", (bytes: Buffer) => stdout.write(bytes));
    guest.once("close", () => finish("closed"));
    guest.once("error", (failure) => finish(context.signal.aborted ? "interrupted" : failure));
    if (typed) stdin.setRawMode(true);
    stdin.on("data", (bytes: Buffer) => {
      const { forward, leave } = splitAtEscape(bytes, typed);
      if (forward.length > 0) guest.write(forward);
      if (leave) finish("escape");
    });
    // Everything is sent; the guest still needs a moment to answer.
    const sent = (): void => {
      if (timeout === undefined) timers.push(setTimeout(finish, PIPE_TIMEOUT_MS, "timeout"));
    };
    if (stdin.readableEnded) sent();
    else stdin.once("end", sent);
  });
}

/** What goes to the guest, and whether the escape byte ended it. Bytes out of a pipe are data, all of them. */
export function splitAtEscape(
  bytes: Uint8Array,
  typed: boolean,
): { readonly forward: Uint8Array; readonly leave: boolean } {
  const at = typed ? bytes.indexOf(ESCAPE_BYTE) : -1;
  return at < 0 ? { forward: bytes, leave: false } : { forward: bytes.subarray(0, at), leave: true };
}
