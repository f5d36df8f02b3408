/** bridge on what real CNI plugins make: a guest that works, and a DEL that finds what ADD left. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gatewaysToWaitFor, podFiles, unwirePod, type WireInput, wirePod } from "../../src/apply/wire-pod.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { registry } from "../../src/bindings/index.ts";
import { type Cni, createCni } from "../../src/cluster/local/cni/cni.ts";
import { type CniNetwork, parseCniNetwork } from "../../src/cluster/local/cni/conflist.ts";
import { defaultNetwork } from "../../src/cluster/local/cni/default-network.ts";
import { podAddresses } from "../../src/cluster/local/cni/result.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import type { NicPlan } from "../../src/plan/plan.ts";
import { guestServices } from "../../src/vm/guest-services.ts";
import { HOST, vmi } from "../support/builders.ts";
import { type NamespaceGuest, startNamespaceGuest, udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires, type TestPod, testPod } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const NEEDS = requires("root", "ip", "nft", "cni", "udhcpc");
const folder = NEEDS.skip === false ? mkdtempSync("/run/pt-bridge-cni-") : "";
// The first time, `ip netns` mounts /run/netns over itself, and with it what is there already.
if (NEEDS.skip === false) {
  for (const command of ["add", "delete"]) execFileSync("ip", ["netns", command, "pt-bridge-cni-first"]);
}

const NETWORKS: Readonly<Record<string, () => CniNetwork>> = {
  "the bridge plugin, podtap's own network": () =>
    defaultNetwork({
      ranges: { v4: "10.88.0.0/20" as Cidr, v6: "fd12:3456:789a:1::/64" as Cidr },
      mtu: 1400,
      hairpin: false,
      leaseDir: join(folder, "leases"),
    }),
  "the ptp plugin: a subnet behind its gateway": () =>
    parseCniNetwork(
      JSON.stringify({
        cniVersion: "1.0.0",
        name: "ptp",
        plugins: [
          {
            type: "ptp",
            mtu: 1400,
            ipam: {
              type: "host-local",
              dataDir: join(folder, "ptp"),
              ranges: [[{ subnet: "10.89.0.0/24" }], [{ subnet: "fd12:3456:789a:2::/64" }]],
              routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
            },
          },
        ],
      }),
      "ptp",
    ),
};

for (const [name, network] of Object.entries(NETWORKS)) {
  test(`${name}: the guest has the pod's addresses, and DEL succeeds`, NEEDS, async (t) => {
    const it = await attached(t, network());
    const { guest, ips, cni, pod } = it;
    const lease = await udhcpc(guest);
    assert.equal(lease?.["ip"], ips[0]);
    assert.equal(lease?.["mtu"], "1400");
    await eventually("an IPv6 default route", async () =>
      (await guest.read("ip", "-6", "route", "show", "default")).includes("via fe80:"),
    );
    // What DHCPv6 gives.
    await guest.read("ip", "address", "add", `${ips[1]}/128`, "dev", "eth0", "nodad");
    for (const ip of it.hostIps) await guest.read("ping", "-c1", "-W2", ip);
    for (const ip of ips) execFileSync("ping", ["-c1", "-W2", ip]);

    // The plugins want a veth of this name; no parked address can be one that leads where it should.
    await assert.rejects(cni.check(pod.name, "eth0"), /not of type veth|eth0/);
    await guest.stop();
    assert.deepEqual(it.unwire(), []);
    await cni.check(pod.name, "eth0");
    await cni.deleteAll(pod.name);
    assert.deepEqual(cni.list(), []);
    assert.doesNotMatch(pod.run("ip", "link"), /eth0|veth/);
  });

  test(`${name}: DEL of a pod that nobody unwired succeeds as well`, NEEDS, async (t) => {
    const { guest, cni, pod } = await attached(t, network());
    await guest.stop();
    await cni.deleteAll(pod.name);
    assert.deepEqual(cni.list(), []);
  });
}

interface Attached {
  readonly pod: TestPod;
  readonly cni: Cni;
  readonly guest: NamespaceGuest;
  readonly nic: NicPlan;
  /** Of the pod, IPv4 first. */
  readonly ips: readonly string[];
  /** The gateways. */
  readonly hostIps: readonly string[];
  unwire(): readonly unknown[];
}

async function attached(t: TestContext, network: CniNetwork): Promise<Attached> {
  const pod = testPod(t, "bridge");
  const state = mkdtempSync(join(folder, "state-"));
  t.after(() => rmSync(state, { recursive: true }));
  const cni = createCni({
    cacheDir: join(folder, "cache"),
    pluginDirs: ["/usr/lib/cni", "/opt/cni/bin"],
    timeoutMs: 20_000,
  });
  t.after(() => cni.deleteAll(pod.name));
  const result = await cni.add({
    containerId: pod.name,
    netnsPath: pod.path,
    ifName: "eth0",
    network,
    pod: { namespace: "default", name: "virt-launcher-web-abcde" },
  });
  const kernel = openKernel(pod.path);
  t.after(() => kernel.close());
  const hostIps = (result.ips ?? []).flatMap(({ gateway }) => gateway ?? []);
  const spec = {
    domain: { devices: { interfaces: [{ name: "default", bridge: {} }] } },
    networks: [{ name: "default", pod: {} }],
  };
  const input: WireInput = {
    vmi: vmi({ spec }),
    resolver: { nameservers: ["10.88.0.1" as Ip], searchDomains: [] },
    host: { ...HOST, features: hostFeatures() },
    queues: 0,
  };
  const files = podFiles(state);
  // The plugins return while the host's own new address is being proven unique, and nobody answers for it yet.
  await eventually("the gateways answer", () =>
    gatewaysToWaitFor(kernel, input, files, registry) === 0 ? true : undefined,
  );
  const wired = wirePod(kernel, input, files, registry);
  assert.ok(wired.ok, JSON.stringify(wired));
  const [nic] = wired.value.plan.nics;
  assert.ok(nic);
  serve(t, pod, nic);
  const guest = await startNamespaceGuest({
    podNetns: pod.name,
    tap: nic.guestLink,
    mac: nic.mac,
    mtu: 1400,
  });
  t.after(() => guest.stop());
  const ips = [...podAddresses(result, "eth0")].sort(
    (a, b) => Number(a.includes(":")) - Number(b.includes(":")),
  );
  return {
    pod,
    cni,
    guest,
    nic,
    ips,
    hostIps,
    unwire: () => unwirePod(kernel, files),
  };
}

function serve(t: TestContext, pod: TestPod, nic: NicPlan): void {
  const fd = openPacketSocket(pod.path);
  const server = guestServices({
    port: packetPort,
    descriptors: [fd],
    clock: { now: Date.now },
    log: () => undefined,
  });
  t.after(() => {
    server.close();
    closeSync(fd);
  });
  server.serve(nic.services, () => undefined);
}
