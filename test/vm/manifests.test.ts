/**
 * The seed's and KubeVirt's own manifests with several networks, word for word: they run, with the demo guest in the
 * place of their images, and every NIC has what its network gives.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Vmi, VmiInterfaceStatus } from "../../src/api/types.ts";
import { eui64, type Ip } from "../../src/base/ip.ts";
import { type Mac, macToBytes } from "../../src/base/mac.ts";
import { daemonPid, diskImage, manifest, onDaemonHost, podtap, traces } from "../support/daemon-host.ts";
import { inGuest } from "../support/guest-console.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const FEDORA = "registry:5000/kubevirt/fedora-with-test-tooling-container-disk:devel";
const shared = (...path: readonly string[]): string =>
  join(import.meta.dirname, "..", "golden", "manifests", ...path);

/** As KubeVirt's user guide has it. */
const PTP_CONF = manifest(`
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: ptp-conf}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "mynet", "type": "ptp",
     "ipam": {"type": "host-local", "subnet": "10.1.1.0/24"}}
`);

describe("shared manifests with real guests", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  let atFirst: readonly string[] = [];
  before(() => {
    atFirst = traces();
  });
  after(async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
    spawnSync("ip", ["link", "delete", "br-vm"]);
    const ours = /^object |^file \/run\/(state|podtap)\/(?!leases)/;
    assert.deepEqual(
      traces().filter((trace) => !ours.test(trace) && !atFirst.includes(trace)),
      [],
    );
  });

  test("seed vmi-bridge: the pod's addresses on one NIC, and a wire to its own bridge on the other", async (t) => {
    const file = shared("seed", "vmi-bridge.yaml");
    t.after(() => podtap("down", file));
    await podtap("up", file, ...diskImage("quay.io/containerdisks/fedora:latest"));
    const [first, second] = await nics("vm-bridge-example");
    assert.deepEqual([first.name, first.ipAddresses?.length], ["default", 2]);
    for (const ip of first.ipAddresses ?? []) await eventually(`an answer of ${ip}`, () => ping(ip), 60_000);
    assert.deepEqual([second?.name, second?.ipAddresses ?? []], ["secondary", []]);
    // No address but the one that an IPv6 host makes itself.
    const own = eui64("fe80::" as Ip, macToBytes(second?.mac as Mac));
    execFileSync("ip", ["link", "set", "br-vm", "up"]);
    await eventually(`an answer of ${own} on br-vm`, () => ping(`${own}%br-vm`), 20_000);
    await oneDefaultRoute("vm-bridge-example", first.mac);
  });

  test("KubeVirt vmi-multus-multiple-net: masquerade on the pod network, bridge on ptp", async (t) => {
    const file = shared("kubevirt", "vmi-multus-multiple-net.yaml");
    t.after(() => podtap("down", file));
    await podtap("up", PTP_CONF, file, ...diskImage(FEDORA));
    const [first, second] = await nics("vmi-multus-multiple-net");
    assert.deepEqual([first.name, first.ipAddresses?.length], ["default", 2]);
    assert.equal(second?.name, "ptp");
    assert.match(second.ipAddress ?? "", /^10\.1\.1\./);
    await eventually("an answer on ptp", () => ping(second.ipAddress ?? ""), 60_000);
    const shown = await inGuest("vmi-multus-multiple-net", "ip -o -4 addr show scope global");
    assert.match(shown, / 10\.0\.2\.2\/24 /);
    assert.ok(shown.includes(` ${second.ipAddress}/`), shown);
    await oneDefaultRoute("vmi-multus-multiple-net", first.mac);
  });

  test("KubeVirt vmi-multus-ptp: no NIC but ptp's", async (t) => {
    const file = shared("kubevirt", "vmi-multus-ptp.yaml");
    t.after(() => podtap("down", file));
    await podtap("up", PTP_CONF, file, ...diskImage(FEDORA));
    const [only, ...more] = await nics("vmi-multus-ptp");
    assert.deepEqual([only.name, more], ["ptp", []]);
    assert.match(only.ipAddress ?? "", /^10\.1\.1\./);
    await eventually("an answer", () => ping(only.ipAddress ?? ""), 60_000);
    const shown = await inGuest("vmi-multus-ptp", "ip -o -4 addr show scope global");
    assert.ok(shown.includes(` ${only.ipAddress}/`), shown);
  });
});

async function nics(name: string): Promise<readonly [VmiInterfaceStatus, ...VmiInterfaceStatus[]]> {
  const vmi = JSON.parse(await podtap("get", "vmi", name, "-o", "json")) as Vmi;
  const [first, ...others] = vmi.status?.interfaces ?? [];
  return [first ?? assert.fail("no interfaces"), ...others];
}

/** By the NIC with this MAC. */
async function oneDefaultRoute(name: string, mac: string | undefined): Promise<void> {
  const routes = await eventually("a default route a family", async () => {
    const found = (await inGuest(name, "ip route; ip -6 route")).match(/^default .*$/gm) ?? [];
    return found.length >= 2 ? found : undefined;
  });
  assert.equal(routes.length, 2, routes.join("\n"));
  for (const route of routes) {
    const link = / dev (\S+)/.exec(route)?.[1];
    assert.equal((await inGuest(name, `cat /sys/class/net/${link}/address`)).trim(), mac, route);
  }
}

function ping(ip: string): true | undefined {
  return spawnSync("ping", ["-c1", "-W1", ip]).status === 0 ? true : undefined;
}
