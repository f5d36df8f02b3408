/**
 * A real guest on passt, whose passt, carrier and launcher are killed under it: its network comes back without a
 * reboot, and status and events say what happened. A real guest on slirp, which is told and forwarded by QEMU.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { KubeObject } from "../../src/api/object.ts";
import type { InterfaceSpec, Pod, Vmi } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import type { UserNetworkState } from "../../src/vm/user-network/files.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  killHard,
  launcherSocket,
  manifest,
  onDaemonHost,
  podProcess,
  podtap,
  processes,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { inGuest } from "../support/guest-console.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const NEEDS = requires("root", "nft", "cni", "qemu", "libvirt", "passt");

async function up(name: string, nic: Partial<InterfaceSpec>): Promise<Vmi> {
  const kernel = { image: DEMO_IMAGE, kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initramfs" };
  const kernelArgs = "console=ttyS0 quiet no_timer_check mitigations=off";
  const file = manifest(
    JSON.stringify({
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 0,
        domain: {
          memory: { guest: "256Mi" },
          firmware: { kernelBoot: { container: kernel, kernelArgs } },
          devices: { interfaces: [{ name: "default", ports: [{ port: 80 }], ...nic }] },
        },
        networks: [{ name: "default", pod: {} }],
      },
    }),
  );
  await podtap("up", file, "--wait", "running", ...USE_LOCAL_IMAGES);
  return await vmiOf(name);
}

async function vmiOf(name: string): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", name, "-o", "json")) as Vmi;
}

async function podIdOf(name: string): Promise<string> {
  const pods = JSON.parse(await podtap("get", "pods", "-o", "json")).items as readonly Pod[];
  const pod = pods.find(({ metadata }) => metadata.labels?.["vm.kubevirt.io/name"] === name);
  assert.ok(pod);
  return identityOf(pod).id;
}

function stateOf(podId: string): UserNetworkState {
  const path = join(launcherSocket(podId), "..", "user-network.json");
  return JSON.parse(readFileSync(path, "utf8")) as UserNetworkState;
}

async function page(ip: string): Promise<void> {
  await eventually(
    `a page from ${ip}`,
    () => {
      const host = ip.includes(":") ? `[${ip}]` : ip;
      const args = ["--silent", "--fail", "--noproxy", "*", "--max-time", "3", `http://${host}:80/`];
      return spawnSync("curl", args).status === 0 || undefined;
    },
    60_000,
  );
}

/** The pid as the host sees it of a process that knows itself as another one. */
function programOf(command: string): number {
  const found = processes().filter((process) => process.command.startsWith(command));
  assert.equal(found.length, 1, `${command}: ${found.length}`);
  return found[0]?.pid ?? 0;
}

async function eventsOf(name: string): Promise<readonly string[]> {
  const { items } = JSON.parse(await podtap("get", "events", "-o", "json")) as {
    items: readonly (KubeObject & { involvedObject: { name: string }; reason: string; message: string })[];
  };
  return items
    .filter(({ involvedObject }) => involvedObject.name === name)
    .map(({ reason, message }) => `${reason}: ${message}`);
}

describe("user networks with a real guest", NEEDS, () => {
  after(async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
    assert.deepEqual(
      processes().filter(({ command }) => /passt|podtap-usernet/.test(command)),
      [],
    );
  });

  test("passt: killed, its carrier and the launcher killed: the guest goes on without a reboot", async () => {
    const vmi = await up("pa", { passtBinding: {} });
    const ips = vmi.status?.interfaces?.[0]?.ipAddresses ?? [];
    assert.equal(ips.length, 2);
    for (const ip of ips) await page(ip);
    const podId = await podIdOf("pa");
    const folder = join(launcherSocket(podId), "..");
    const boot = await inGuest("pa", "cat /proc/sys/kernel/random/boot_id");

    await killHard(programOf("passt "));
    await eventually("another one", () => stateOf(podId).networks[0]?.restarts === 1 || undefined, 20_000);
    for (const ip of ips) await page(ip);
    const told = await eventually("the events", async () => {
      const all = (await eventsOf("pa")).filter((event) => event.startsWith("NetworkBackend"));
      return all.length === 2 ? all : undefined;
    });
    assert.match(told.join("\n"), /^NetworkBackendDied: passt of NIC default was ended by SIGKILL/m);
    assert.match(told.join("\n"), /^NetworkBackendBack: passt of NIC default is there again/m);
    assert.match(
      readFileSync(join(folder, "launcher.log"), "utf8"),
      /passt of NIC default is down: it was ended by SIGKILL/,
    );

    const launcher = podProcess(podId, "launcher");
    const passt = programOf("passt ");
    await killHard(launcher);
    // While nobody looks, it is looked after all the same.
    await killHard(passt);
    for (const ip of ips) await page(ip);
    await eventually(
      "another launcher",
      () => podProcess(podId, "launcher") !== launcher || undefined,
      20_000,
    );
    await eventually(
      "its status",
      async () =>
        (await vmiOf("pa")).status?.conditions?.every(({ type }) => type !== "NetworkBackendDown") ||
        undefined,
    );

    await killHard(programOf("podtap-usernet"));
    await eventually(
      "another carrier",
      () => {
        const found = processes().filter(({ command }) => command.startsWith("podtap-usernet"));
        return found.length === 1 && stateOf(podId).networks[0]?.state === "up" ? true : undefined;
      },
      20_000,
    );
    for (const ip of ips) await page(ip);

    assert.equal(await inGuest("pa", "cat /proc/sys/kernel/random/boot_id"), boot, "the same boot");
    assert.match(await podtap("plan", "pa"), /run {5}passt/);
    await podtap("down", "pa");
    await eventually("nothing of it runs", () => !readdirSync("/proc").some((pid) => isOf(pid)) || undefined);
  });

  test("slirp: QEMU tells the guest its address and forwards what is declared", async () => {
    const vmi = await up("sl", { binding: { name: "slirp" }, model: "e1000" });
    const addresses = vmi.status?.interfaces?.[0]?.addresses ?? [];
    const pod = addresses.find(({ owner, ip }) => owner === "pod" && !ip.includes(":"))?.ip ?? "";
    assert.ok(addresses.some(({ owner, ip }) => owner === "guest" && ip === "10.0.2.15"));
    await page(pod);
    assert.match(await inGuest("sl", "ip -4 addr show dev eth0"), /inet 10\.0\.2\.15\/24/);
    assert.match(await inGuest("sl", "ip -6 addr show dev eth0"), /inet6 fd10:0:2:/);
    await inGuest("sl", "ping -c1 -W5 10.0.2.2");
    const refused = spawnSync("curl", ["--noproxy", "*", "--max-time", "3", `http://${pod}:22/`]);
    assert.notEqual(refused.status, 0, "what is not declared is closed");
    await podtap("down", "sl");
  });
});

function isOf(pid: string): boolean {
  try {
    return /^passt|^podtap-usernet/.test(readFileSync(`/proc/${pid}/comm`, "utf8"));
  } catch {
    return false;
  }
}
