/**
 * Real guests on macvtaps: on the pod network in the pod's place, and on a host's interface with a DHCP server of its
 * own. libvirt opens the character devices, several queues of one too.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Pod, Vmi } from "../../src/api/types.ts";
import { secondaryPodInterface } from "../../src/base/names.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
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

const vmManifest = (metadata: string, interfaces: string, networks: string): string =>
  manifest(`
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: ${metadata}
spec:
  terminationGracePeriodSeconds: 0
  domain:
    cpu: {cores: 2}
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
    devices:
      networkInterfaceMultiqueue: true
      interfaces: [${interfaces}]
  networks: [${networks}]
`);

const VM = vmManifest(
  "{name: taps}",
  "{name: default, binding: {name: macvtap}}, {name: lan, macvtap: {}}",
  "{name: default, pod: {}}, {name: lan, multus: {networkName: lan}}",
);
/** On the host's interface with an address from CNI, and a host that may speak with it. */
const NEAR = vmManifest(
  '{name: near, annotations: {podtap.io/host-access: "true"}}',
  "{name: near, binding: {name: macvtap}}",
  "{name: near, multus: {networkName: near}}",
);

/** KubeVirt's own kind of network for it. */
const LAN = manifest(
  JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: {
      name: "lan",
      annotations: { "k8s.v1.cni.cncf.io/resourceName": "macvtap.network.kubevirt.io/pt-mvt0" },
    },
    spec: { config: JSON.stringify({ cniVersion: "0.3.1", type: "macvtap" }) },
  }),
);
const NEAR_NETWORK = manifest(
  JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "near" },
    spec: {
      config: JSON.stringify({
        cniVersion: "0.4.0",
        type: "macvlan",
        master: "pt-mvt0",
        ipam: { type: "host-local", subnet: "10.74.0.0/24" },
      }),
    },
  }),
);
/** Another machine on the host's LAN. */
const OTHER = "pt-mvt-lan";

describe("a VM on macvtaps", requires("root", "nft", "cni", "qemu", "libvirt", "udhcpc"), () => {
  let atFirst: readonly string[] = [];

  before(async () => {
    execFileSync("ip", ["netns", "add", OTHER]);
    execFileSync("ip", ["link", "add", "pt-mvt0", "type", "veth", "peer", "name", "lan", "netns", OTHER]);
    inOther("ip", "address", "add", "10.73.0.9/24", "dev", "lan");
    inOther("ip", "link", "set", "lan", "up");
    const lines = ["start 10.73.0.50", "end 10.73.0.60", "option subnet 255.255.255.0", "interface lan"];
    writeFileSync("/run/tmp/leases", "");
    writeFileSync("/run/tmp/udhcpd", [...lines, "lease_file /run/tmp/leases", ""].join("\n"));
    const server = ["netns", "exec", OTHER, "busybox", "udhcpd", "-f", "-a", "1", "/run/tmp/udhcpd"];
    spawn("ip", server, { stdio: "ignore" }).unref();
    // An address of the kernel's own would come after the first look.
    execFileSync("ip", ["link", "set", "pt-mvt0", "addrgenmode", "none", "up"]);
    execFileSync("ip", ["address", "add", "10.74.0.100/24", "dev", "pt-mvt0"]);
    atFirst = traces();
    await podtap("up", LAN);
    await podtap("up", VM, ...USE_LOCAL_IMAGES);
  });
  after(() => {
    execFileSync("ip", ["link", "delete", "pt-mvt0"]);
    execFileSync("ip", ["netns", "delete", OTHER]);
  });

  test("on the pod network the host reaches the guest by the pod's address", async () => {
    const { ipAddress = "" } = (await getVmi()).status?.interfaces?.[0] ?? {};
    assert.match(ipAddress, /^10\./);
    await eventually("an answer", () => ping([], ipAddress), 60_000);
  });

  test("on the host's interface the LAN's own server gives the address, and the LAN reaches the guest", async () => {
    const lan = await eventually(
      "the agent's report",
      async () => (await getVmi()).status?.interfaces?.find((nic) => /^10\.73\./.test(nic.ipAddress ?? "")),
      60_000,
    );
    assert.equal(lan.name, "lan");
    assert.ok(await ping(["netns", "exec", OTHER], lan.ipAddress ?? ""));
  });

  test("a daemon that is killed and begun anew finds nothing to change", async () => {
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    const plan = JSON.parse(await podtap("plan", "taps", "--exit-code", "-o", "json"));
    assert.deepEqual(plan.steps, []);
    const nic = plan.plan.nics.find(({ name }: { readonly name: string }) => name === "lan");
    assert.equal(nic.podInterface, secondaryPodInterface("lan"));
  });

  test("a link that is deleted under the guest is said to be lost, also when one was made anew", async () => {
    const pods = JSON.parse(await podtap("get", "pods", "-o", "json")) as { readonly items: readonly Pod[] };
    const [pod] = pods.items;
    assert.ok(pod);
    const inPod = (...command: readonly string[]): string => {
      const netns = `/run/podtap/netns/${identityOf(pod).id}`;
      return execFileSync("nsenter", [`--net=${netns}`, ...command], { encoding: "utf8" });
    };
    const shown = JSON.parse(await podtap("plan", "taps", "-o", "json"));
    const nic = shown.plan.nics.find(({ name }: { readonly name: string }) => name === "lan");
    const tap: string = nic.guestLink;
    const lower: string = nic.links[0].name;
    inPod("ip", "link", "delete", tap);
    const lost = () =>
      eventually("the condition", async () =>
        (await getVmi()).status?.conditions?.find(({ type }) => type === "GuestLinkLost"),
      );
    assert.match((await lost()).message ?? "", new RegExp(`^NIC lan .*${tap} was deleted`));
    assert.match(await podtap("get", "events"), /GuestLinkLost/);
    const plan = await podtap("plan", "taps");
    assert.match(plan, new RegExp(`would change\n(.*\n)*.*\\+ macvtap ${tap}`));
    assert.match(plan, /out of reach\n {2}NIC lan leads nowhere/);

    inPod("ip", "link", "add", tap, "link", lower, "type", "macvtap", "mode", "bridge");
    assert.match(await podtap("plan", "taps"), /out of reach\n {2}NIC lan leads nowhere/);
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    assert.match((await lost()).message ?? "", /^NIC lan /);
    assert.equal((await getVmi()).status?.phase, "Running");
  });

  test("with host access the host itself reaches a guest on its interface, also after its daemon was killed", async () => {
    await podtap("up", NEAR_NETWORK);
    await podtap("up", NEAR, ...USE_LOCAL_IMAGES);
    const [nic] = (await getVmi("near")).status?.interfaces ?? [];
    const ip = nic?.ipAddress ?? "";
    assert.match(ip, /^10\.74\./);
    await eventually("an answer", () => ping([], ip), 60_000);
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    assert.equal((await getVmi("near")).status?.phase, "Running");
    assert.ok(ping([], ip));
  });

  test("taken down, nothing is left", async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined);
    // The daemon's own files and the NAD stay.
    const kept = /^object |^file \/run\/(state|podtap)\/(?!leases)/;
    assert.deepEqual(
      traces().filter((trace) => !kept.test(trace) && !atFirst.includes(trace)),
      [],
    );
  });
});

async function getVmi(name = "taps"): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", name, "-o", "json"));
}

function inOther(...command: readonly string[]): void {
  execFileSync("ip", ["netns", "exec", OTHER, ...command]);
}

function ping(within: readonly string[], ip: string): true | undefined {
  const [program = "ping", ...args] = [
    ...(within.length > 0 ? ["ip", ...within] : []),
    "ping",
    "-c1",
    "-W1",
    ip,
  ];
  return spawnSync(program, args).status === 0 ? true : undefined;
}
