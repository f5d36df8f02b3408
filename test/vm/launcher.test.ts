/** The launcher with real libvirt, QEMU and guests, in the real sandbox. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { DomainDisk } from "../../src/domain/devices.ts";
import { eventually, requires } from "../support/netns.ts";
import { bootSpec, DEMO_KERNEL, type VmPod, vmPod } from "../support/vm-pod.ts";

const NEEDS = requires("root", "ip", "tap", "qemu", "libvirt");
const BOOT_MS = 60_000;

function procStatus(pid: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)));
}

/** Firmware without anything to boot: QEMU runs, and that at once. */
async function startEmpty(vm: VmPod): Promise<number> {
  const started = await vm.client.start(bootSpec());
  assert.equal(started.phase, "running");
  return vm.pidOf("qemu-system");
}

test(
  "a guest boots without rights, gets its leases, is seen by its agent and powers off when asked",
  NEEDS,
  async (t) => {
    const vm = await vmPod(t);
    const early = vm.console();
    const started = await vm.client.start(bootSpec({ kernel: DEMO_KERNEL }));
    assert.equal(started.phase, "running");

    for (const name of ["MainThread", "libvirtd", "qemu-system"]) {
      const status = procStatus(vm.pidOf(name));
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
        assert.equal(status[set], "0000000000000000", `${name} ${set}`);
      }
      assert.equal(status["NoNewPrivs"], "1", name);
      assert.equal(status["Uid"], "107\t107\t107\t107", name);
    }
    assert.equal(procStatus(vm.pidOf("qemu-system"))["Seccomp"], "2", "QEMU's own seccomp filter is on");
    const packetSockets = vm.packetSockets();
    assert.equal(packetSockets.size, 1);
    for (const [name, count] of [
      ["MainThread", 1],
      ["libvirtd", 0],
      ["qemu-system", 0],
    ] as const) {
      const held = vm.socketsOf(name).filter((inode) => packetSockets.has(inode));
      assert.equal(held.length, count, `packet sockets of ${name}`);
    }

    await eventually("the guest is ready", () => early.text().includes("READY"), BOOT_MS);
    const known = await vm.until("the agent knows the guest's address", ({ agent }) =>
      agent.interfaces.some(({ ips }) => ips.includes("10.0.2.2")),
    );
    assert.ok(known.leases.some(({ ip, via }) => ip === "10.0.2.2" && via === "dhcp4"));
    assert.equal(known.agent.osInfo?.["id"], "podtap-guest");
    const web = [
      "curl",
      "--silent",
      "--max-time",
      "10",
      "--output",
      "/dev/null",
      "--write-out",
      "%{http_code}",
    ];
    assert.equal(vm.pod.run("env", ...web, "http://10.0.2.2/cgi-bin/index.cgi"), "200");
    assert.match(await vm.client.xml(), /<interface type='ethernet'>\s*<mac address='52:54:00:12:34:56'\/>/);

    const late = vm.console();
    await eventually("a late client is shown what was printed", () => late.text().includes("READY"));
    late.socket.write("echo typed-$((40 + 2))\n");
    await eventually("every client sees the answer", () =>
      [early, late].every((client) => client.text().includes("typed-42")),
    );
    assert.ok(vm.file("serial.log").includes("typed-42"));

    process.kill(vm.launcher.pid, "SIGKILL");
    await vm.launcher.exit;
    await vm.startLauncher();
    await vm.until("the next launcher hears the agent", ({ agent }) =>
      agent.interfaces.some(({ ips }) => ips.includes("10.0.2.2")),
    );
    const later = vm.console();
    await eventually("the next launcher replays the log", () => later.text().includes("typed-42"));

    await vm.client.shutdown(30);
    const off = await vm.status();
    assert.equal(off.phase, "shutdown");
    assert.equal(off.reason, "the guest powered off, as it was asked to");
    assert.ok(later.text().includes("Power down"));

    process.kill(vm.launcher.pid, "SIGTERM");
    assert.deepEqual(await vm.launcher.exit, { code: 0, signal: null });
  },
);

test("disks on every bus and a NIC with queues start, and nothing is probed", NEEDS, async (t) => {
  const vm = await vmPod(t, { queues: 2 });
  const image = (name: string, ...args: readonly string[]) => {
    const path = join(vm.dir, name);
    execFileSync("qemu-img", ["create", "-q", ...args.slice(0, -1), path, args.at(-1) ?? ""]);
    chownSync(path, 107, 107);
    return path;
  };
  const base = image("base.img", "-f", "raw", "1M");
  const overlay = image("root.qcow2", "-f", "qcow2", "-F", "raw", "-b", base, "1M");
  const plain = { device: "disk", format: "raw", readonly: false } as const;
  const buses = ["virtio", "sata", "scsi", "usb"] as const;
  const disks: DomainDisk[] = [
    {
      ...plain,
      name: "root",
      bus: "virtio",
      format: "qcow2",
      path: overlay,
      backing: { path: base, format: "raw" },
      bootOrder: 1,
    },
    {
      ...plain,
      name: "seed",
      device: "cdrom",
      bus: "sata",
      path: image("seed.iso", "-f", "raw", "1M"),
      readonly: true,
    },
    ...buses.map((bus) => ({
      ...plain,
      name: bus,
      bus,
      path: image(`${bus}.img`, "-f", "raw", "1M"),
      serial: bus,
    })),
  ];
  assert.equal((await vm.client.start(vm.spec({ disks }))).phase, "running");
  const command = readFileSync(`/proc/${vm.pidOf("qemu-system")}/cmdline`, "utf8");
  assert.match(command, /"driver":"qcow2","file":"libvirt-\d-storage","backing":"libvirt-\d-format"/);
  assert.ok(!command.includes('"driver":null') && !command.includes("format-probing"));
  assert.match(command, /"mq":true/);
});

test("QEMU outlives its launcher and its libvirtd, and is found again", NEEDS, async (t) => {
  const vm = await vmPod(t);
  const qemu = await startEmpty(vm);

  process.kill(vm.launcher.pid, "SIGKILL");
  await vm.launcher.exit;
  await vm.startLauncher();
  const adopted = await vm.until("the domain is adopted", ({ phase }) => phase === "running");
  assert.equal(vm.pidOf("qemu-system"), qemu);
  assert.ok(adopted.qemuPid !== undefined && adopted.qemuPid > 1);

  const before = vm.pidOf("libvirtd");
  process.kill(before, "SIGKILL");
  await vm.until("another libvirtd runs", ({ libvirtdPid }) => libvirtdPid !== adopted.libvirtdPid);
  assert.notEqual(vm.pidOf("libvirtd"), before);
  assert.equal(vm.pidOf("qemu-system"), qemu);
  assert.match(await vm.client.xml(), /<name>default_web<\/name>/);
  assert.equal((await vm.status()).phase, "running");

  await vm.client.shutdown(0);
  const off = await vm.status();
  assert.deepEqual([off.phase, off.reason, off.qemuPid], ["shutdown", "destroyed without grace", undefined]);
  assert.throws(() => vm.pidOf("qemu-system"), /0 processes/);
});

test("libvirtd and launcher die together, and the next launcher finds QEMU", NEEDS, async (t) => {
  const vm = await vmPod(t);
  const qemu = await startEmpty(vm);
  process.kill(vm.launcher.pid, "SIGKILL");
  process.kill(vm.pidOf("libvirtd"), "SIGKILL");
  await vm.launcher.exit;
  await vm.startLauncher();
  await vm.until("the domain is adopted", ({ phase }) => phase === "running");
  assert.equal(vm.pidOf("qemu-system"), qemu);
});

test("a QEMU that dies is a crash, told with its reason", NEEDS, async (t) => {
  const vm = await vmPod(t);
  const qemu = await startEmpty(vm);
  process.kill(qemu, "SIGKILL");
  const crashed = await vm.until("the crash is seen", ({ phase }) => phase === "crashed");
  assert.match(crashed.reason ?? "", /^QEMU ended unexpectedly/);
  assert.equal(crashed.qemuPid, undefined);
});

test("a crash while no launcher looks is told by the next one", NEEDS, async (t) => {
  const vm = await vmPod(t);
  const qemu = await startEmpty(vm);
  process.kill(vm.launcher.pid, "SIGKILL");
  await vm.launcher.exit;
  process.kill(qemu, "SIGKILL");
  await vm.startLauncher();
  const crashed = await vm.until("the crash is seen", ({ phase }) => phase === "crashed");
  assert.match(crashed.reason ?? "", /^QEMU ended unexpectedly/);
});

test("a guest that does not listen is destroyed after the grace", NEEDS, async (t) => {
  const vm = await vmPod(t);
  await startEmpty(vm);
  await vm.client.shutdown(1);
  const { phase, reason } = await vm.status();
  assert.deepEqual([phase, reason], ["shutdown", "the guest did not power off within 1 s and was destroyed"]);
});

test("a start that fails says what QEMU said, and the launcher stays", NEEDS, async (t) => {
  const vm = await vmPod(t);
  const path = join(vm.dir, "missing.img");
  const disk = { name: "root", device: "disk", bus: "virtio", format: "raw", path, readonly: false } as const;
  await assert.rejects(vm.client.start(bootSpec({ disks: [disk] })), (thrown: Error) => {
    assert.match(thrown.message, /missing\.img.*No such file or directory/s);
    return true;
  });
  const { phase, reason } = await vm.status();
  assert.equal(phase, "failed");
  assert.match(reason ?? "", /missing\.img/);
  assert.equal((await vm.client.start(bootSpec())).phase, "running", "a better spec may be tried");
});
