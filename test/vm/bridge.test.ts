/**
 * A real guest on a bridge. Paused by QEMU (`virsh suspend`, as backups and migrations do) its neighbours go on finding
 * it by the bridge's answers, what is open stays open, and traffic goes on when it is resumed. What it forges is told.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Pod, Vmi } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  launcherSocket,
  manifest,
  onDaemonHost,
  podtap,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { inGuest } from "../support/guest-console.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const VM = manifest(`
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: sleepy}
spec:
  terminationGracePeriodSeconds: 0
  domain:
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
    devices:
      interfaces: [{name: default, bridge: {}}]
  networks: [{name: default, pod: {}}]
`);
const BRIDGE = "podtap0";

describe("a guest on a bridge", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  let ips: readonly string[] = [];
  let mac = "";
  let pod = "";
  let domain = "";
  let connection = "";
  let boot = "";
  let open: Socket;
  let answer = "";

  before(async () => {
    await podtap("up", VM, ...USE_LOCAL_IMAGES);
    const [nic] = (await getVmi()).status?.interfaces ?? [];
    ips = nic?.ipAddresses ?? [];
    mac = nic?.mac ?? "";
    assert.equal(ips.length, 2, "dual stack");
    for (const ip of ips) await eventually(`a page from ${ip}`, () => fetchPage(ip), 60_000);
    boot = bootOf(ips[0]);
    const pods = JSON.parse(await podtap("get", "pods", "-o", "json")) as { readonly items: readonly Pod[] };
    assert.ok(pods.items[0]);
    pod = identityOf(pods.items[0]).id;
    const folder = join(dirname(launcherSocket(pod)), "v");
    const [socket] = execFileSync("find", [folder, "-name", "libvirt-sock"], { encoding: "utf8" }).split(
      "\n",
    );
    connection = `qemu+unix:///session?socket=${socket}`;
    domain = virsh("list", "--name").trim();
  });
  after(async () => {
    open?.destroy();
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
  });

  test("what it sends in another's name is told, and how that is lifted", async () => {
    assert.doesNotMatch(await podtap("describe", "vmi", "sleepy"), /Dropped:/);
    await inGuest(
      "sleepy",
      "ip address add 10.99.99.9/32 dev lo; ping -c1 -W1 -I 10.99.99.9 192.0.2.1; true",
    );
    const told = await podtap("describe", "vmi", "sleepy");
    assert.match(told, /Dropped: +[1-9]\d* of the guest, from another IPv4 address \(spoofed_ipv4\)/);
    assert.match(told, /podtap.io\/port-security/);
  });

  test("paused, its status says so", async () => {
    open = connect(80, ips[0]);
    open.setEncoding("utf8").on("data", (chunk: string) => {
      answer += chunk;
    });
    await new Promise((resolve) => open.once("connect", resolve));
    virsh("suspend", domain);
    await eventually("the condition", async () => (await conditions())["Paused"] === "True" || undefined);
    assert.equal((await conditions())["Ready"], "False");
    assert.equal((await getVmi()).status?.phase, "Running");
  });

  test("paused, its neighbours find it anew, by both families, and nobody else", () => {
    for (const ip of ips) {
      spawnSync("ip", ["neigh", "flush", "to", ip, "dev", BRIDGE]);
      assert.notEqual(spawnSync("ping", ["-c1", "-W1", ip]).status, 0, "nobody answers in its place");
      const found = execFileSync("ip", ["neigh", "show", ip, "dev", BRIDGE], { encoding: "utf8" });
      assert.match(found, new RegExp(`lladdr ${mac} (REACHABLE|STALE|DELAY|PROBE)`));
    }
    open.write("GET / HTTP/1.0\r\n\r\n");
  });

  test("paused, its wiring has not drifted", async () => {
    assert.match(await podtap("plan", "sleepy"), /nothing to change/);
  });

  test("resumed it goes on where it was, with what it had open", async () => {
    assert.equal(answer, "");
    virsh("resume", domain);
    await eventually(
      "the answer to what was asked meanwhile",
      () => answer.includes(boot) || undefined,
      60_000,
    );
    for (const ip of ips) {
      await eventually(`a page from ${ip}`, () => fetchPage(ip), 60_000);
      assert.equal(bootOf(ip), boot, "the same boot");
    }
    await eventually("the condition is gone", async () =>
      (await conditions())["Paused"] === undefined && (await conditions())["Ready"] === "True"
        ? true
        : undefined,
    );
  });

  test("a tap that is deleted under it is told, and nothing mends it but a new start", async () => {
    execFileSync("nsenter", [`--net=/run/podtap/netns/${pod}`, "ip", "link", "delete", "tap0"]);
    const lost = await eventually("the condition", async () =>
      (await getVmi()).status?.conditions?.find(({ type }) => type === "GuestLinkLost"),
    );
    assert.match(lost.message ?? "", /^NIC default .*tap0 was deleted/);
    assert.match(await podtap("plan", "sleepy"), /out of reach\n {2}NIC default leads nowhere/);
  });

  function virsh(...command: readonly string[]): string {
    return execFileSync("virsh", ["-q", "-c", connection, ...command], { encoding: "utf8" });
  }
});

async function getVmi(): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", "sleepy", "-o", "json")) as Vmi;
}

async function conditions(): Promise<Readonly<Record<string, string>>> {
  return Object.fromEntries(
    (await getVmi()).status?.conditions?.map(({ type, status }) => [type, status]) ?? [],
  );
}

function fetchPage(ip: string): string | undefined {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const args = ["--silent", "--fail", "--noproxy", "*", "--max-time", "3", `http://${host}/`];
  const { status, stdout } = spawnSync("curl", args, { encoding: "utf8" });
  return status === 0 ? stdout : undefined;
}

function bootOf(ip = ""): string {
  return /^boot (.+)$/m.exec(fetchPage(ip) ?? "")?.[1] ?? "";
}
