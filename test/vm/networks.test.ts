/**
 * A VM that asks for NADs, with the daemon as users have it: it waits for what is not there, starts when it comes,
 * and gives back a device of the host.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { Pod, Vmi, VmiInterfaceStatus } from "../../src/api/types.ts";
import { secondaryPodInterface } from "../../src/base/names.ts";
import type { NetworkStatus } from "../../src/cluster/multus/network-status.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  killHard,
  manifest,
  onDaemonHost,
  podtap,
  traces,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const vmManifest = (name: string, interfaces: string, networks: string): string =>
  manifest(`
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: ${name}}
spec:
  terminationGracePeriodSeconds: 0
  domain:
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
    devices: {interfaces: [${interfaces}]}
  networks: [${networks}]
`);

/** Two NICs on NADs: a bridge that the guest gets its address from, and a device of the host without addresses. */
const VM = vmManifest(
  "nets",
  [
    "{name: default, masquerade: {}, ports: [{port: 80}]}",
    '{name: lan, bridge: {}, macAddress: "02:aa:00:00:00:71"}',
    "{name: dev, bridge: {}}",
  ].join(),
  "{name: default, pod: {}}, {name: lan, multus: {networkName: lan}}, {name: dev, multus: {networkName: dev}}",
);

/** KubeVirt's example vmi-multus-ptp: no NIC on the pod network at all. */
const PTP_VM = vmManifest("ptp", "{name: ptp, bridge: {}}", "{name: ptp, multus: {networkName: ptp-conf}}");

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
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.71.0.0/24" },
});
const PTP = nadManifest("ptp-conf", {
  plugins: [{ type: "ptp", ipam: { type: "host-local", subnet: "10.72.0.0/24" } }, { type: "tuning" }],
});
const DEV = nadManifest("dev", { type: "host-device", device: "pt-dev1" });

describe("a VM on NADs", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  let mac = "";
  let atFirst: readonly string[] = [];

  before(() => {
    execFileSync("ip", ["link", "add", "pt-dev0", "type", "veth", "peer", "name", "pt-dev1"]);
    mac = macOf("pt-dev1");
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
        ["default/lan", secondaryPodInterface("lan"), undefined],
        ["default/dev", secondaryPodInterface("dev"), undefined],
      ],
    );
    assert.deepEqual(status[1]?.ips, ["10.71.0.2"]);
    const nics = (await getVmi()).status?.interfaces ?? [];
    assert.deepEqual(
      nics.map((nic) => [nic.name, nic.ipAddress, sources(nic)]),
      [
        ["default", status[0]?.ips?.[0], "domain"],
        ["lan", "10.71.0.2", "domain, multus-status"],
        ["dev", undefined, "domain, multus-status"],
      ],
    );
    assert.ok(!links().includes("pt-dev1"));
  });

  test("the guest itself answers on the NAD's bridge, under the MAC that was asked for", async () => {
    await eventually("an answer", () => ping("10.71.0.2"), 60_000);
    const neighbours = execFileSync("ip", ["neigh", "show", "dev", "pt-lan0"], { encoding: "utf8" });
    assert.match(neighbours, /10\.71\.0\.2 lladdr 02:aa:00:00:00:71/);
  });

  test("a daemon that is killed and begun anew knows what is attached, and finds nothing to change", async () => {
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    const plan = JSON.parse(await podtap("plan", "nets", "--exit-code", "-o", "json"));
    assert.deepEqual(plan.steps, []);
    const { narrowest, ...lan } = plan.attachments.lan;
    assert.deepEqual(lan, { plugins: ["bridge"], master: "pt-lan0" });
    assert.equal(narrowest.mtu, 1500);
    assert.deepEqual(plan.attachments.dev, { plugins: ["host-device"], master: "pt-dev1" });
    const nics = await eventually("status", async () => (await getVmi()).status?.interfaces);
    assert.equal(nics[1] && sources(nics[1]), "domain, multus-status");
    assert.ok(ping("10.71.0.2"));
  });

  test("a guest whose only NIC is on a ptp NAD answers, too", async () => {
    await podtap("up", PTP, PTP_VM, ...USE_LOCAL_IMAGES);
    await eventually("an answer", () => ping("10.72.0.2"), 60_000);
    const [nic, ...more] = (await getVmi("ptp")).status?.interfaces ?? [];
    assert.deepEqual([nic?.name, nic?.ipAddress, more.length], ["ptp", "10.72.0.2", 0]);
  });

  test("down gives the device back and leaves what the plugins leave", async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined);
    assert.equal(macOf("pt-dev1"), mac);
    execFileSync("ip", ["link", "delete", "pt-lan0"]);
    // The daemon's own files and the NADs stay; addresses do not.
    const ours = /^object |^file \/run\/(state|podtap)\/(?!leases)/;
    assert.deepEqual(
      traces().filter((trace) => !ours.test(trace) && !atFirst.includes(trace)),
      [],
    );
  });
});

async function getVmi(name = "nets"): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", name, "-o", "json")) as Vmi;
}

async function networkStatus(): Promise<readonly NetworkStatus[]> {
  const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
  const text = items[0]?.metadata.annotations?.["k8s.v1.cni.cncf.io/network-status"];
  return JSON.parse(text ?? "[]") as readonly NetworkStatus[];
}

/** The agent's, who comes when the guest has booted, left out. */
function sources({ infoSource }: VmiInterfaceStatus): string | undefined {
  return infoSource?.replace(", guest-agent", "");
}

function macOf(link: string): string {
  const text = execFileSync("ip", ["link", "show", link], { encoding: "utf8" });
  return /link\/ether (\S+)/.exec(text)?.[1] ?? "";
}

function ping(address: string): boolean {
  return spawnSync("busybox", ["ping", "-c1", "-W1", address]).status === 0;
}

function links(): readonly string[] {
  return execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => line.split(": ")[1]?.split("@")[0] ?? []);
}
