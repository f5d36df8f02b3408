/**
 * Asks libvirt once what this build of QEMU can do, and keeps the answer for every VM's own libvirtd: 1.5 s that no
 * VM's start pays. Run by the node daemon or the setup as root; libvirt itself runs as the launcher's uid, without
 * rights, in namespaces of its own that end with it.
 */
import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, PodtapError } from "../base/errors.ts";
import { TIED_TO_PARENT } from "../base/tied.ts";
import { copyCapabilities, libvirtEnvironment, libvirtFiles, writeLibvirtFiles } from "./libvirt-files.ts";
import { keepWays, LIBVIRT_WAYS, PROBED, throwAwayDomains } from "./user-network/libvirt-ways.ts";

const LAUNCHER_UID = 107;
const EMULATOR = "/usr/bin/qemu-system-x86_64";
const JUDGED = [
  EMULATOR,
  "/usr/sbin/libvirtd",
  "/usr/lib/x86_64-linux-gnu/libvirt.so.0",
  `/usr/bin/${PROBED.program}`,
];
const STAMP = "stamp";
const TIMEOUT_MS = 60_000;

/**
 * Fixed text; everything variable is in the arguments. Root's part is the lines of user and group that libvirtd insists
 * on (the group's since 11.3). virsh starts libvirtd, and when it ends catatonit, as pid 1, takes that along; without a pid 1 that reaps,
 * libvirt waits 20 s for each QEMU it asked.
 */
const SCRIPT =
  'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && shift && exec "$@"';

/** Prints QEMU's network backends, and the files whose domains libvirt takes. Fixed text, too. */
const QUESTIONS = `emulator=$1; shift
virsh -q -c qemu:///session domcapabilities --emulatorbin "$emulator" --virttype qemu >/dev/null || exit 1
"$emulator" -netdev help
for file in "$@"; do virsh -q -c qemu:///session define "$file" >/dev/null 2>&1 && echo "$file"; done
exit 0`;

export interface WarmOptions {
  /**
   * A folder for the time of asking, the caller's alone, below folders that everyone may enter; what is in it is
   * removed, for one who was killed may have left it. Default: a fresh one.
   */
  readonly scratch?: string;
  readonly signal?: AbortSignal;
}

/** @returns whether anything had to be asked. Files are readable by everyone. */
export async function warmCapabilities(cacheDir: string, options: WarmOptions = {}): Promise<boolean> {
  if (options.scratch !== undefined) rmSync(options.scratch, { recursive: true, force: true });
  const stamp = buildStamp();
  if (readStamp(cacheDir) === stamp) return false;
  const scratch = options.scratch ?? mkdtempSync(join(tmpdir(), "podtap-caps-"));
  try {
    mkdirSync(scratch, { recursive: true });
    chmodSync(scratch, 0o755);
    const pod = join(scratch, "p");
    mkdirSync(pod, { mode: 0o700 });
    const files = libvirtFiles(pod);
    writeLibvirtFiles(files, undefined);
    giveTo(LAUNCHER_UID, pod);
    writeFileSync(join(scratch, "group"), `root:x:0:\nqemu:x:${LAUNCHER_UID}:\n`);
    const passwd = join(scratch, "passwd");
    writeFileSync(passwd, `root:x:0:0::/:/bin/false\nqemu:x:${LAUNCHER_UID}:${LAUNCHER_UID}::/:/bin/false\n`);
    const domains = writeDomains(scratch);
    const questions = ["sh", "-c", QUESTIONS, "sh", EMULATOR, ...Object.keys(domains)];
    const [setpriv, ...tied] = TIED_TO_PARENT;
    const asking = ["sh", "-c", SCRIPT, "sh", scratch, ...UNPRIVILEGED, ...questions];
    const { stdout } = await promisify(execFile)(setpriv, [...tied, "unshare", ...NAMESPACES, ...asking], {
      ...(options.signal && { signal: options.signal }),
      env: libvirtEnvironment(files),
      cwd: files.home,
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    mkdirSync(cacheDir, { recursive: true });
    copyCapabilities(files.capabilities, cacheDir);
    const taken = stdout.split("\n").flatMap((line) => domains[line] ?? []);
    keepWays(cacheDir, taken, stdout);
    for (const name of readdirSync(cacheDir)) chmodSync(join(cacheDir, name), 0o644);
    writeFileSync(join(cacheDir, STAMP), stamp);
    return true;
  } catch (cause) {
    throw new PodtapError({
      code: "PT-LAUNCHER-9",
      message: `libvirt could not be asked for QEMU's capabilities: ${messageOf(cause)}`,
      hint: "VMs start all the same, each 1.5 s later. Are libvirt-clients and libvirt-daemon-driver-qemu installed?",
      cause,
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** By path, the way that its domain is for. */
function writeDomains(scratch: string): Readonly<Record<string, (typeof LIBVIRT_WAYS)[number]>> {
  const domains = throwAwayDomains();
  return Object.fromEntries(
    LIBVIRT_WAYS.map((way) => {
      const path = join(scratch, `${way}.xml`);
      writeFileSync(path, domains[way], { mode: 0o644 });
      return [path, way];
    }),
  );
}

const NAMESPACES = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const UNPRIVILEGED = [
  "catatonit",
  "--",
  "setpriv",
  `--reuid=${LAUNCHER_UID}`,
  `--regid=${LAUNCHER_UID}`,
  "--clear-groups",
  "--inh-caps=-all",
  "--bounding-set=-all",
  "--no-new-privs",
];

function giveTo(uid: number, dir: string): void {
  chownSync(dir, uid, uid);
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) chownSync(join(entry.parentPath, entry.name), uid, uid);
  }
}

/** What libvirt compares too: other files, other answers. */
function buildStamp(): string {
  return JUDGED.map((path) => {
    try {
      const { ctimeMs, size } = statSync(path);
      return `${path} ${ctimeMs} ${size}`;
    } catch {
      return `${path} missing`;
    }
  }).join("\n");
}

function readStamp(cacheDir: string): string | undefined {
  try {
    return readFileSync(join(cacheDir, STAMP), "utf8");
  } catch {
    return undefined;
  }
}
