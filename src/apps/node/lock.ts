/**
 * One daemon a run directory. The lock is an abstract Unix socket: the kernel frees it with its holder, however
 * that ends, and no stale file is left to be judged.
 *
 * A holder whose API does not answer is about to leave or has just begun: it is waited for, so that `podtap up`
 * right after `podtap down --all` gets a daemon. One that a command started makes way for one that somebody wants to
 * see or to keep, `podtap node` and systemd: guests run on meanwhile.
 */
import { request } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { PodtapError } from "../../base/errors.ts";
import { hexHash } from "../../base/names.ts";

/** Longer than a daemon takes to let go of its host and to wait for what is under way. */
const LEAVING_MS = 15_000;
const POLL_MS = 20;

/**
 * `takeOver`: have a holder that a command started leave.
 * @throws PT-NODE-2 when another daemon holds it
 */
export async function takeLock(
  runDir: string,
  apiSocket: string,
  { takeOver = false } = {},
): Promise<Server> {
  const deadline = performance.now() + LEAVING_MS;
  for (let leaves = false; ; ) {
    const lock = await tryLock(runDir);
    if (lock !== undefined) return lock;
    leaves ||= takeOver && (await makesWay(apiSocket));
    if ((!leaves && (await answers(apiSocket))) || performance.now() > deadline) throw taken(runDir);
    await pause(POLL_MS);
  }
}

/** Does it say that it leaves? */
function makesWay(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json" };
    const options = { socketPath, path: "/podtap/v1/shutdown", method: "POST", headers, agent: false };
    const asked = request(options, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => {
        text += part;
      });
      answer.once("end", () => resolve(/"shutdown":\s*true/.test(text)));
      answer.once("error", () => resolve(false));
    });
    asked.once("error", () => resolve(false));
    asked.end(JSON.stringify({ ifStartedByCommand: true }));
  });
}

/** undefined: another process has it. */
function tryLock(runDir: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "EADDRINUSE") resolve(undefined);
      else reject(cause);
    });
    server.listen(`\0podtap-${hexHash(runDir).slice(0, 16)}`, () => {
      server.unref();
      resolve(server);
    });
  });
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

function taken(runDir: string): PodtapError {
  return new PodtapError({
    code: "PT-NODE-2",
    message: `a podtap daemon already runs for ${runDir}`,
    hint: "use it, or end it where it was started: `systemctl stop podtap`, or Ctrl-C on `podtap node`",
  });
}
