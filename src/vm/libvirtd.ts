/**
 * The libvirtd of one VM: a foreground child in session mode. It is found again (adopted) by whoever comes later
 * with the same files, and QEMU lives through the death of both.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, watch } from "node:fs";
import { connect } from "node:net";
import { basename, dirname } from "node:path";
import { messageOf, PodtapError } from "../base/errors.ts";
import { type LibvirtFiles, libvirtEnvironment } from "./libvirt-files.ts";
import { lastLines } from "./log-tail.ts";

const LIBVIRTD = "/usr/sbin/libvirtd";
const START_DEADLINE_MS = 20_000;
/** From bind() to listen(); there is nothing to watch in between. */
const REFUSED_RETRY_MS = 2;

export interface Libvirtd {
  readonly pid: number;
  readonly adopted: boolean;
  /** Resolves when the child has ended; for an adopted daemon, never (its connection tells). */
  readonly ended: Promise<void>;
}

/**
 * Finds the daemon of these files alive, or starts one; resolves once its socket takes connections. Where there is
 * no socket the daemon is started before this function gives control back.
 */
export async function startLibvirtd(files: LibvirtFiles): Promise<Libvirtd> {
  if (existsSync(files.socket)) {
    if (await answers(files.socket)) {
      return { pid: readPid(files.pidFile) ?? 0, adopted: true, ended: new Promise(() => undefined) };
    }
    rmSync(files.socket, { force: true });
  }
  const socketThere = watchFor(files.socket);
  const log = openSync(files.log, "a", 0o600);
  const child = spawn(LIBVIRTD, [], {
    cwd: files.home,
    env: libvirtEnvironment(files),
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  let gone = false;
  const early = ended.then(() => {
    gone = true;
  });
  try {
    await Promise.race([socketThere.appeared, early]);
    while (!gone && !(await answers(files.socket))) await pause(REFUSED_RETRY_MS);
    if (gone) throw new Error("it ended at once");
  } catch (problem) {
    child.kill("SIGKILL");
    throw new PodtapError({
      code: "PT-LAUNCHER-3",
      message: `libvirtd did not come up: ${messageOf(problem)}. ${lastLines(files.log, 3)}`,
      hint: "`Failed to find user record` means that the launcher's uid has no line in /etc/passwd.",
      retry: "soon",
      cause: problem,
    });
  } finally {
    socketThere.close();
  }
  return { pid: child.pid ?? 0, adopted: false, ended };
}

export function stopLibvirtd(daemon: Libvirtd): void {
  if (daemon.pid <= 0) return;
  try {
    process.kill(daemon.pid, "SIGTERM");
  } catch {
    // Gone already: that is what was wanted.
  }
}

export function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
    return pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function watchFor(path: string): { readonly appeared: Promise<void>; close(): void } {
  const controller = new AbortController();
  const appeared = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no socket after ${START_DEADLINE_MS / 1000} s`)),
      START_DEADLINE_MS,
    );
    controller.signal.addEventListener("abort", () => clearTimeout(timer));
    watch(dirname(path), { signal: controller.signal }, (_event, name) => {
      if (name === basename(path) && existsSync(path)) resolve();
    });
  });
  return { appeared, close: () => controller.abort() };
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
