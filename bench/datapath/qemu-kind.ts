/**
 * Machines as guests, each as podtap runs it: the launcher in its sandbox, libvirt and QEMU as uid 107. The demo
 * guest's kernel and initramfs, with pingpong in it.
 *
 * Theory of operation. All guests are there at once and all but the one that is measured are paused, with their
 * clocks: they cost nothing and notice nothing. The agent's serial port, not the NIC, carries what they are told.
 * What a neighbour has forgotten meanwhile is asked for again while pingpong connects, which is not measured.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { PodtapError } from "../../src/base/errors.ts";
import type { Accelerator } from "../../src/domain/devices.ts";
import { domainName } from "../../src/domain/domain.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import { showMacvtaps } from "../../src/linux/sandbox/macvtap-nodes.ts";
import { processesInNetns } from "../../src/linux/sandbox/processes.ts";
import { createSandbox, destroySandbox, spawnInSandbox } from "../../src/linux/sandbox/sandbox.ts";
import type { SandboxRecord } from "../../src/linux/sandbox/types.ts";
import type { NicPlan } from "../../src/plan/plan.ts";
import { probeAccelerator } from "../../src/vm/accelerator.ts";
import { type LauncherClient, launcherClient } from "../../src/vm/launcher-client.ts";
import { libvirtFiles } from "../../src/vm/libvirt-files.ts";
import { warmCapabilities } from "../../src/vm/warm-capabilities.ts";
import { eventually } from "../../test/support/netns.ts";
import { repository } from "../../test/support/repository.ts";
import type { Answer, Guest, GuestKind, Place } from "./guest.ts";
import { type Lab, pingpong } from "./lab.ts";
import { joinArchives, newcArchive } from "./newc.ts";
import { domainOf } from "./virsh.ts";

const UID = 107;
const LAUNCHER_UP_MS = 20_000;
const BOOT_MS = 120_000;
const MEMORY_BYTES = 1024 ** 3;
/** The NIC is set up by whoever wired it, not by the guest's own start. */
const KERNEL_ARGS = "console=ttyS0 quiet no_timer_check mitigations=off podtap.net=off";
const PROGRAM = "usr/bin/pingpong";

/** What all guests of a run share. */
interface Shared {
  readonly folder: string;
  readonly initrd: string;
  readonly accelerator: Accelerator;
}

export async function qemuKind(): Promise<GuestKind> {
  const accelerator = await probeAccelerator({ cachePath: cached("accelerator.json") });
  await warmCapabilities(cached("libvirt"));
  const labs = new WeakMap<Lab, Shared>();
  const emulator = accelerator.type === "kvm" ? "KVM" : "TCG";
  return {
    text: `Debian's kernel under QEMU with ${emulator} (${accelerator.reason}), started by podtap's launcher`,
    // The emulated processor is what everything waits for: it is not to change places, nor to share.
    placement: { latency: "apart", streams: "apart" },
    processors: "QEMU on one processor, the station that answers on the others.",
    rounds: 16,
    milliseconds: 200,
    cannotJoin: () => undefined,
    start: async (lab, place) => {
      const shared = labs.get(lab) ?? share(lab, accelerator);
      labs.set(lab, shared);
      return await start(lab, place, shared);
    },
  };
}

function share(lab: Lab, accelerator: Accelerator): Shared {
  const guest = cached("guest/initramfs");
  if (!existsSync(guest)) {
    throw new PodtapError({
      code: "PT-BENCH-2",
      message: `the demo guest is missing: ${guest}`,
      hint: "`make guest` in the checkout builds it",
    });
  }
  // Short, because Unix socket paths are.
  const folder = mkdtempSync("/run/ptb-");
  lab.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const images = join(folder, "images");
  mkdirSync(images);
  const initrd = join(images, "initramfs");
  const program = newcArchive({ [PROGRAM]: readFileSync(pingpong()) });
  writeFileSync(initrd, joinArchives(readFileSync(guest), program));
  return { folder, initrd, accelerator };
}

async function start(lab: Lab, place: Place, shared: Shared): Promise<Guest> {
  const { pod, nic, vmi } = place;
  const folder = join(shared.folder, pod.name.split("-").slice(2).join("-"));
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, UID, UID);
  const sandbox = openSandbox(place, folder, shared);
  lab.after(() => destroySandbox(sandbox));
  const client = startLauncher(sandbox, place, folder, shared);
  await eventually("the launcher answers", () => client.status(), LAUNCHER_UP_MS);
  const taps = nic.links.filter(({ type }) => type === "macvtap").map(({ name }) => name);
  if (taps.length > 0) showMacvtaps(sandbox, taps, UID);
  const { metadata } = vmi;
  await client.start({
    vmi,
    // The launcher reads a NIC's domain and services and nothing else of it.
    plan: {
      version: 1,
      vmi: { namespace: "default", name: metadata.name ?? "", uid: "bench" },
      nics: [nic as NicPlan],
    },
    disks: [],
    kernel: { kernelPath: cached("guest/vmlinuz"), initrdPath: shared.initrd, args: KERNEL_ARGS },
    accelerator: shared.accelerator,
  });
  await eventually("the guest's agent", async () => (await client.status()).agent.connected, BOOT_MS);
  for (const pid of processesInNetns(pod.path)) lab.guests.add(pid);
  const domain = domainOf(libvirtFiles(folder).socket, domainName(vmi));
  await domain.run("ip", ["link", "set", "eth0", "up"]);
  return {
    run: (program, ...args) => domain.run(program, args),
    rest: () => domain.suspend(),
    pingpong: async (words, milliseconds) => {
      await domain.resume();
      try {
        return JSON.parse(await domain.run(`/${PROGRAM}`, words, milliseconds)) as Answer;
      } finally {
        await domain.suspend();
      }
    },
  };
}

function openSandbox({ pod }: Place, folder: string, shared: Shared): SandboxRecord {
  return createSandbox({
    podId: pod.name,
    netnsPath: pod.path,
    hostname: "bench",
    resolvConf: "",
    limits: { memoryBytes: MEMORY_BYTES },
    dirs: [folder],
    readOnlyDirs: [...new Set([repository(), dirname(process.execPath), dirname(shared.initrd)])].filter(
      (path, _i, all) => !all.some((other) => path.startsWith(`${other}/`)),
    ),
    devices: shared.accelerator.type === "kvm" ? ["net/tun", "kvm"] : ["net/tun"],
    uid: UID,
    gid: UID,
  });
}

function startLauncher(
  sandbox: SandboxRecord,
  { pod }: Place,
  folder: string,
  shared: Shared,
): LauncherClient {
  const packets = openPacketSocket(pod.path);
  try {
    spawnInSandbox(sandbox, {
      argv: [
        process.execPath,
        "--disable-warning=ExperimentalWarning",
        launcherProgram(),
        ...["--dir", folder, "--libvirt-cache", cached("libvirt")],
      ],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      uid: UID,
      gid: UID,
      fds: [packets],
      logFile: join(shared.folder, `${pod.name}.log`),
    });
  } finally {
    closeSync(packets);
  }
  return launcherClient(join(folder, "launcher.sock"));
}

/** As bundled beside this file, or as source. */
function launcherProgram(): string {
  const bundled = join(import.meta.dirname, "launcher.js");
  return existsSync(bundled) ? bundled : join(repository(), "src/apps/launcher/main.ts");
}

function cached(name: string): string {
  return join(repository(), ".cache", name);
}
