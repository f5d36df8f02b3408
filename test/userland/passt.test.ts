/**
 * passt by libvirt's own backends, which Debian 13's libvirt has: over a socket and over vhost-user, each with a real
 * guest that `podtap up` starts. (tools/outer/userland.sh brings the programs.)
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { KubeObject } from "../../src/api/object.ts";
import type { Pod, Vmi } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import { processesInNetns } from "../../src/linux/sandbox/processes.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  type FoundProcess,
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
import { eventually, requires, testPod } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

/** TEST-NET-1 (RFC 5737), on the far side of the host. */
const SERVER = "192.0.2.69";
const HOST = "192.0.2.1";
const FILES = "/run/served";

describe("passt by libvirt", requires("root", "nft", "cni", "qemu", "libvirt", "passt"), () => {
  const cleanup: (() => void)[] = [];
  let http: ChildProcess | undefined;

  before(() => {
    const server = testPod({ after: (undo) => cleanup.push(undo as () => void) }, "server");
    const peer = ["peer", "name", "pt-far-e", "netns", server.name];
    execFileSync("ip", ["link", "add", "pt-far", "up", "type", "veth", ...peer]);
    execFileSync("ip", ["address", "add", `${HOST}/24`, "dev", "pt-far"]);
    server.run("ip", "address", "add", `${SERVER}/24`, "dev", "pt-far-e");
    server.run("ip", "link", "set", "pt-far-e", "up");
    mkdirSync(FILES, { recursive: true });
    writeFileSync(join(FILES, "page"), "from outside\n");
    const command = ["busybox", "httpd", "-f", "-p", `${SERVER}:80`, "-h", FILES];
    http = spawn("ip", ["netns", "exec", server.name, ...command], { stdio: "ignore" });
  });
  after(async () => {
    http?.kill();
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
    assert.deepEqual(processes().filter(isPasst), []);
    for (const undo of cleanup) undo();
  });

  for (const way of ["backend", "vhost-user"] as const) {
    test(`${way}: address by DHCP, out, in by the declared port, and back after passt was killed`, async () => {
      const { id, ips } = await up(way);
      const qemu = readFileSync(`/proc/${podProcess(id, "qemu")}/cmdline`, "utf8");
      assert.equal(qemu.includes('"type":"vhost-user"'), way === "vhost-user", qemu);
      const passt = passtOf(id);
      assert.equal(passt.command.includes(" --vhost-user"), way === "vhost-user", passt.command);

      for (const ip of ips) {
        await eventually(`${ip} in the guest`, async () => {
          const shown = await inGuest(way, "ip -o addr show dev eth0 scope global");
          if (!shown.includes(` ${ip}/`)) throw new Error(shown);
          return true;
        });
        await page(ip);
        assert.notEqual(get(ip, 22), "", "what is not declared is closed");
      }
      const fetched = `printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${SERVER} 80 | tail -n1`;
      assert.equal(await inGuest(way, fetched), "from outside\n");

      await killHard(passt.pid);
      await eventually("another passt", () => passtOf(id).pid !== passt.pid || undefined, 20_000);
      if (way === "backend") {
        await eventually("the guest is introduced", () => introduced(id) === 2 || undefined, 20_000);
        // Debian 13's passt dies of a connection that comes before QEMU.
        await eventually("passt serves QEMU", () => servesQemu(id) || undefined);
      }
      for (const ip of ips) await page(ip);
      assert.equal(await inGuest(way, fetched), "from outside\n");
      // Of vhost-user QEMU 10.0 tells nothing.
      if (way === "backend") {
        const told = await eventually("the events", async () => {
          const all = (await eventsOf(way)).filter((event) => event.startsWith("NetworkBackend"));
          return all.length === 2 ? all.join("\n") : undefined;
        });
        assert.match(told, /^NetworkBackendDied: passt of NIC default is gone; libvirt starts it once more/m);
        assert.match(told, /^NetworkBackendBack: passt of NIC default is there again/m);
      }
      await podtap("down", way);
    });
  }
});

async function up(way: string): Promise<{ readonly id: string; readonly ips: readonly string[] }> {
  const kernel = { image: DEMO_IMAGE, kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initramfs" };
  const kernelArgs = "console=ttyS0 quiet no_timer_check mitigations=off";
  const file = manifest(
    JSON.stringify({
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: way, annotations: { "podtap.io/user-network": way } },
      spec: {
        terminationGracePeriodSeconds: 0,
        domain: {
          memory: { guest: "256Mi" },
          firmware: { kernelBoot: { container: kernel, kernelArgs } },
          devices: { interfaces: [{ name: "default", passtBinding: {}, ports: [{ port: 80 }] }] },
        },
        networks: [{ name: "default", pod: {} }],
      },
    }),
  );
  await podtap("up", file, "--wait", "running", ...USE_LOCAL_IMAGES);
  const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
  const pod = items.find(({ metadata }) => metadata.labels?.["vm.kubevirt.io/name"] === way);
  const vmi = JSON.parse(await podtap("get", "vmi", way, "-o", "json")) as Vmi;
  const ips = vmi.status?.interfaces?.[0]?.ipAddresses ?? [];
  assert.equal(ips.length, 2);
  return { id: identityOf(pod ?? assert.fail("no pod")).id, ips };
}

function passtOf(podId: string): FoundProcess {
  const inside = new Set(processesInNetns(`/run/podtap/netns/${podId}`));
  const found = processes().filter((process) => inside.has(process.pid) && isPasst(process));
  assert.equal(found.length, 1, JSON.stringify(found));
  return found[0] as FoundProcess;
}

async function eventsOf(name: string): Promise<readonly string[]> {
  const { items } = JSON.parse(await podtap("get", "events", "-o", "json")) as {
    items: readonly (KubeObject & { involvedObject: { name: string }; reason: string; message: string })[];
  };
  return items
    .filter(({ involvedObject }) => involvedObject.name === name)
    .map(({ reason, message }) => `${reason}: ${message}`);
}

/** How often the launcher introduced the guest to passt: at the start, and after each restart. */
function introduced(podId: string): number {
  const log = readFileSync(join(dirname(launcherSocket(podId)), "launcher.log"), "utf8");
  return log.match(/the guest was introduced/g)?.length ?? 0;
}

/** Of passt's socket there is a connection, and none that waits to be accepted. */
function servesQemu(podId: string): boolean {
  const sockets = execFileSync("nsenter", [`--net=/run/podtap/netns/${podId}`, "ss", "-axnH"], {
    encoding: "utf8",
  });
  const own = sockets.split("\n").filter((line) => line.includes("ua-default.socket"));
  return own.some((line) => / ESTAB /.test(line)) && own.every((line) => !/ LISTEN +[1-9]/.test(line));
}

function isPasst({ command }: FoundProcess): boolean {
  return /^\S*passt\S* /.test(command);
}

async function page(ip: string): Promise<void> {
  await eventually(`a page from ${ip}`, () => get(ip, 80) === "" || undefined, 60_000);
}

/** Empty when a page came, else why not. */
function get(ip: string, port: number): string {
  const url = `http://${ip.includes(":") ? `[${ip}]` : ip}:${port}/`;
  const quiet = ["--silent", "--show-error", "--output", "/dev/null"];
  return spawnSync("curl", [...quiet, "--fail", "--noproxy", "*", "--max-time", "3", url], {
    encoding: "utf8",
  }).stderr;
}
