/**
 * A program that is a NIC's network, kept running: when it ends it is started again, at once the first time and then
 * more and more patiently. What it says on stderr is logged, bounded, and its last lines are the reason of its end.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import type { UserNetworkPlan } from "../../plan/plan.ts";

const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 5_000;
/** One that ran this long did not die of its start. */
const HEALTHY_MS = 10_000;
/** A hostile guest must not fill the disk by what it makes the program complain of. */
const LOGGED_LINES_MAX = 2_000;
const KEPT_LINES = 3;
const KEPT_LENGTH = 200;
/** Without a syslog it says this for each line that it also says here. */
const NOISE = /^Failed to send \d+ bytes to syslog$/;

export interface ProgramOptions {
  readonly plan: Pick<UserNetworkPlan, "program" | "arguments">;
  readonly socket: string;
  /** It runs; it does not listen yet. */
  readonly started: (program: Program) => void;
  readonly ended: (reason: string) => void;
  readonly log: (message: string) => void;
}

export class Program {
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;
  #retryMs = FIRST_RETRY_MS;
  #since = 0;
  #closed = false;
  #logged = 0;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#start();
  }

  /** undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  close(): void {
    this.#closed = true;
    this.#child?.kill("SIGTERM");
  }

  #start(): void {
    if (this.#closed) return;
    const { plan, socket, started, log } = this.#options;
    rmSync(socket, { force: true });
    const said: string[] = [];
    const child = spawn(
      plan.program,
      plan.arguments.map((argument) => argument.replace("{socket}", socket)),
      { stdio: ["ignore", "ignore", "pipe"], env: { PATH: "/usr/local/bin:/usr/bin:/bin" } },
    );
    this.#child = child;
    this.#since = performance.now();
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.trim() === "" || NOISE.test(line)) return;
      said.push(line.trim().slice(0, KEPT_LENGTH));
      if (said.length > KEPT_LINES) said.shift();
      this.#logged++;
      if (this.#logged < LOGGED_LINES_MAX) log(`${plan.program}: ${line}`);
      else if (this.#logged === LOGGED_LINES_MAX) log(`${plan.program} said too much: the rest is not kept`);
    });
    child.once("error", (problem) => this.#ended(child, problem.message));
    child.once("close", (code, signal) => {
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
      this.#ended(child, said.length === 0 ? how : `${how}; it said: ${said.join(" | ")}`);
    });
    started(this);
  }

  #ended(child: ChildProcess, reason: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    if (this.#closed) return;
    this.#options.ended(reason);
    if (performance.now() - this.#since > HEALTHY_MS) this.#retryMs = FIRST_RETRY_MS;
    setTimeout(() => this.#start(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 4, LAST_RETRY_MS);
  }
}
