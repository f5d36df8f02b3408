/**
 * The seed's and KubeVirt's own manifests with several networks, word for word, and one as others write them: they run,
 * with the demo guest in the place of their images, and every NIC has what its network gives.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Service, Vmi, VmiInterfaceStatus } from "../../src/api/types.ts";
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

  test("a manifest for a cluster, by several hands: size, disks, NICs and Service are what it asks", async (t) => {
    const file = shared("found", "several-hands.yaml");
    t.after(async () => {
      await podtap("down", file);
      spawnSync("ip", ["link", "delete", "br-found"]);
    });
    await podtap("up", file, ...diskImage("quay.io/lab/os:1"));
    const [first, second] = await nics("found");
    assert.deepEqual([first.binding, second?.binding], ["masquerade", "bridge"]);
    assert.deepEqual([second?.ipAddress, second?.mac], ["10.66.0.20", "02:00:00:00:66:01"]);
    await eventually("an answer on the found network", () => ping("10.66.0.20"), 60_000);
    const links = await inGuest(
      "found",
      "for nic in /sys/class/net/eth?; do cat $nic/address $nic/mtu; basename $(readlink $nic/device/driver); done",
    );
    assert.match(links, new RegExp(`${first.mac}\\s+1500\\s+e1000e\\s`));
    assert.match(links, /02:00:00:00:66:01\s+1400\s+virtio_net\s/);
    assert.equal((await inGuest("found", "nproc")).trim(), "2");
    assert.equal(
      (await inGuest("found", "cat /sys/class/block/vdb/size")).trim(),
      String((64 * 1024 ** 2) / 512),
    );
    const cds = await inGuest("found", SHOW_CDS);
    assert.match(cds, /\.\/app\.conf\nanswer=42/);
    const metaData = JSON.parse(/meta_data\.json\n(.*)/.exec(cds)?.[1] ?? "{}");
    assert.deepEqual([metaData.hostname, metaData.public_keys], ["found", { 0: "ssh-ed25519 AAAA me@lab" }]);
    const service = JSON.parse(await podtap("get", "service", "found", "-o", "json")) as Service;
    const ip = service.spec.clusterIP ?? assert.fail("no cluster IP");
    await eventually("an answer of the Service", () => httpGet(ip, 8080), 60_000);
  });
});

/** Every CD image that the guest has: the names of its files, and what is in them. */
const SHOW_CDS =
  "mkdir -p /tmp/cd; for disk in /dev/vd? /dev/sr?; do mount -t iso9660 -o ro $disk /tmp/cd 2>/dev/null || continue; " +
  "(cd /tmp/cd; find . -type f | sort | while read f; do echo; echo $f; cat $f; done); umount /tmp/cd; done; echo";

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

async function httpGet(ip: string, port: number): Promise<true | undefined> {
  const answer = await fetch(`http://${ip}:${port}/`, { signal: AbortSignal.timeout(2000) }).catch(
    () => undefined,
  );
  return answer?.ok === true ? true : undefined;
}

function ping(ip: string): true | undefined {
  return spawnSync("ping", ["-c1", "-W1", ip]).status === 0 ? true : undefined;
}
