/**
 * A VM that asks for NADs, with the daemon as users have it: it waits for what is not there, starts when it comes,
 * and gives back a device of the host.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { Pod, Vmi } from "../../src/api/types.ts";
import type { NetworkStatus } from "../../src/cluster/multus/network-status.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  manifest,
  onDaemonHost,
  podtap,
  traces,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

/** The pod has these links beside its network; no guest NIC sits on them. */
const VM = manifest(`
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata:
  name: nets
  annotations: {k8s.v1.cni.cncf.io/networks: "lan, dev@dev0"}
spec:
  terminationGracePeriodSeconds: 0
  domain:
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
    devices:
      interfaces: [{name: default, masquerade: {}, ports: [{port: 80}]}]
  networks: [{name: default, pod: {}}]
`);

const nadManifest = (name: string, config: object) =>
  manifest(
    JSON.stringify({
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { name },
      spec: { config: JSON.stringify({ cniVersion: "0.4.0", ...config }) },
    }),
  );

const LAN = nadManifest("lan", {
  type: "bridge",
  bridge: "pt-lan0",
  ipam: { type: "host-local", subnet: "10.71.0.0/24" },
});
const DEV = nadManifest("dev", { type: "host-device", device: "pt-dev1" });

describe("a VM on NADs", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  let atFirst: readonly string[] = [];

  before(() => {
    execFileSync("ip", ["link", "add", "pt-dev0", "type", "veth", "peer", "name", "pt-dev1"]);
    atFirst = traces();
  });
  after(() => execFileSync("ip", ["link", "delete", "pt-dev0"]));

  test("it waits for a NAD, and starts by itself when the NAD is applied", async () => {
    await podtap("up", LAN);
    await podtap("up", VM, "--wait", "none", ...USE_LOCAL_IMAGES);
    const why = await eventually(
      "the reason",
      async () => (await getVmi()).status?.conditions?.find(({ type }) => type === "Synchronized"),
      20_000,
    );
    assert.equal(why.reason, "FailedCreatePodSandBox");
    assert.match(why.message ?? "", /no NetworkAttachmentDefinition default\/dev; there are default\/lan/);
    await podtap("up", DEV);
    await eventually("it runs", async () => (await getVmi()).status?.phase === "Running", 60_000);
  });

  test("network-status names every link with its address", async () => {
    const status = await networkStatus();
    assert.deepEqual(
      status.map(({ name, interface: link, default: primary }) => [name, link, primary]),
      [
        ["podtap", "eth0", true],
        ["default/lan", "net1", undefined],
        ["default/dev", "dev0", undefined],
      ],
    );
    assert.deepEqual(status[1]?.ips, ["10.71.0.2"]);
    assert.equal((await getVmi()).status?.interfaces?.length, 1);
    assert.ok(!links().includes("pt-dev1"));
  });

  test("down gives the device back and leaves what the plugins leave", async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined);
    assert.ok(links().includes("pt-dev1"));
    execFileSync("ip", ["link", "delete", "pt-lan0"]);
    // The daemon's own files and the NADs stay; addresses do not.
    const ours = /^object |^file \/run\/(state|podtap)\/(?!leases)/;
    assert.deepEqual(
      traces().filter((trace) => !ours.test(trace) && !atFirst.includes(trace)),
      [],
    );
  });
});

async function getVmi(): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", "nets", "-o", "json")) as Vmi;
}

async function networkStatus(): Promise<readonly NetworkStatus[]> {
  const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
  const text = items[0]?.metadata.annotations?.["k8s.v1.cni.cncf.io/network-status"];
  return JSON.parse(text ?? "[]") as readonly NetworkStatus[];
}

function links(): readonly string[] {
  return execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => line.split(": ")[1]?.split("@")[0] ?? []);
}
