/**
 * KVM or emulation. That /dev/kvm is there and opens says little: nested in some clouds and sandboxes a guest under
 * it hangs at its first interrupt or in its firmware. So a guest of 512 bytes is run on the machine type that VMs
 * get: its firmware must come up, three timer interrupts must wake its CPU, and it must report back, all within
 * the time that a working KVM needs many times over.
 *
 * The verdict holds for a boot of this host and a build of QEMU, and is kept under that key.
 */
import { spawn } from "node:child_process";
import {
  accessSync,
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../base/errors.ts";
import { TIED_TO_PARENT } from "../base/tied.ts";
import type { Accelerator } from "../domain/devices.ts";

export interface ProbeOptions {
  /** Where the verdict is kept. */
  readonly cachePath: string;
  readonly device?: string;
  readonly emulator?: string;
  readonly deadlineMs?: number;
}

const DEVICE = "/dev/kvm";
const EMULATOR = "/usr/bin/qemu-system-x86_64";
/**
 * 0.3 s on working KVM, 0.5 s under TCG. One that needs more is no gain, and worse: on a nested /dev/kvm where this
 * little guest took 1.8 s, Linux never came as far as its console.
 */
const DEADLINE_MS = 1_000;
/** isa-debug-exit ends QEMU with (value << 1) | 1. */
const REPORT = 0x2a;
const REPORTED = (REPORT << 1) | 1;

/** The firmware cannot read from a disk of one sector behind q35's AHCI. */
const DISK_BYTES = 1024 * 1024;

/** Assembled by hand: sti; mov cx,3; again: hlt; loop again; mov dx,0xf4; mov al,REPORT; out dx,al; cli; hlt */
const PROGRAM = [0xfb, 0xb9, 3, 0, 0xf4, 0xe2, 0xfd, 0xba, 0xf4, 0, 0xb0, REPORT, 0xee, 0xfa, 0xf4];

/** Takes up to the deadline once after a boot of the host, and no time afterwards. */
export async function probeAccelerator(options: ProbeOptions): Promise<Accelerator> {
  const { cachePath, device = DEVICE, emulator = EMULATOR, deadlineMs = DEADLINE_MS } = options;
  const closed = whyClosed(device);
  if (closed !== undefined) return { type: "tcg", reason: closed };
  const key = cacheKey(emulator);
  const kept = readVerdict(cachePath, key);
  if (kept !== undefined) return kept;
  mkdirSync(dirname(cachePath), { recursive: true });
  const verdict = await runProbe(emulator, device, deadlineMs, `${cachePath}.disk`);
  writeFileSync(cachePath, JSON.stringify({ key, verdict }));
  return verdict;
}

function whyClosed(device: string): string | undefined {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (problem) {
    const missing = (problem as NodeJS.ErrnoException).code === "ENOENT";
    return missing ? `there is no ${device}` : `${device} may not be opened: ${messageOf(problem)}`;
  }
}

/** @param scratch a name for the disk, which is gone again before the guest runs: a probe that is killed leaves nothing */
async function runProbe(
  emulator: string,
  device: string,
  deadlineMs: number,
  scratch: string,
): Promise<Accelerator> {
  const disk = openSync(scratch, "w+", 0o600);
  try {
    rmSync(scratch);
    ftruncateSync(disk, DISK_BYTES);
    const sector = new Uint8Array(512);
    sector.set(PROGRAM);
    sector.set([0x55, 0xaa], 510);
    writeSync(disk, sector, 0, sector.length, 0);
    return judge(await runGuest(emulator, disk, deadlineMs), device);
  } finally {
    closeSync(disk);
  }
}

interface Outcome {
  readonly milliseconds: number;
  /** null: it was killed at the deadline. */
  readonly status: number | null;
  readonly said: string;
}

function judge({ status, milliseconds, said }: Outcome, device: string): Accelerator {
  if (status === REPORTED) {
    return { type: "kvm", reason: `a test guest ran under ${device} in ${Math.round(milliseconds)} ms` };
  }
  if (status === null) {
    const seconds = (milliseconds / 1000).toFixed(1);
    return { type: "tcg", reason: `${device} is there, but a test guest hung on it for ${seconds} s` };
  }
  const last = said.trim().split("\n").at(-1) ?? "";
  return {
    type: "tcg",
    reason: `${device} is there, but QEMU could not use it: ${last || `exit ${status}`}`,
  };
}

function runGuest(emulator: string, disk: number, deadlineMs: number): Promise<Outcome> {
  const began = performance.now();
  const machine = ["-accel", "kvm", "-machine", "q35", "-cpu", "host", "-m", "16"];
  const devices = [
    ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    ["-drive", "file=/dev/fd/3,format=raw,if=ide"],
  ].flat();
  const quiet = ["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"];
  const [setpriv, ...tied] = TIED_TO_PARENT;
  const guest = spawn(setpriv, [...tied, emulator, ...machine, ...quiet, ...devices], {
    stdio: ["ignore", "ignore", "pipe", disk],
  });
  let said = "";
  guest.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-2048);
  });
  return new Promise((resolve) => {
    // SIGKILL ends a virtual CPU inside the kernel too; nothing milder does when it hangs there.
    const timer = setTimeout(() => guest.kill("SIGKILL"), deadlineMs);
    const end = (status: number | null) => {
      clearTimeout(timer);
      resolve({ status, milliseconds: performance.now() - began, said });
    };
    guest.once("close", (code) => end(code));
    guest.once("error", (problem) => {
      said = problem.message;
      end(-1);
    });
  });
}

function cacheKey(emulator: string): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  try {
    const { ctimeMs, size } = statSync(emulator);
    return `${boot} ${ctimeMs} ${size}`;
  } catch {
    return `${boot} no emulator`;
  }
}

function readVerdict(path: string, key: string): Accelerator | undefined {
  try {
    const kept = JSON.parse(readFileSync(path, "utf8")) as { key?: string; verdict?: Accelerator };
    return kept.key === key ? kept.verdict : undefined;
  } catch {
    return undefined;
  }
}
