import assert from "node:assert/strict";
import { test } from "node:test";
import { nad } from "../../../../test/support/nads.ts";
import { statusOf } from "./attach-networks.ts";
import { nadNetwork } from "./nad-network.ts";
import { networkAttachment, onHostsLinks } from "./network-attachment.ts";
import { parseCniResult } from "./result.ts";

const folders = { confDir: "/nowhere", leaseDir: "/run/leases" };
const RESOURCE = "k8s.v1.cni.cncf.io/resourceName";

function plugins(config: object, wishes: Parameters<typeof nadNetwork>[1] = {}, annotations = {}) {
  return nadNetwork(nad("n", config, { annotations }), wishes, folders).network.plugins;
}

test("a NAD's configuration without a name has the NAD's", () => {
  const { network } = nadNetwork(nad("n", { type: "bridge" }), {}, folders);
  assert.equal(network.name, "n");
  assert.equal(nadNetwork(nad("n", { name: "m", type: "bridge" }), {}, folders).network.name, "m");
});

test("macvtap becomes macvlan on the link that resource, master or device names", () => {
  const eth1 = { [RESOURCE]: "macvtap.network.kubevirt.io/eth1" };
  const [plugin] = plugins({ type: "macvtap", mtu: 1400, promiscMode: true }, {}, eth1);
  assert.deepEqual(plugin, {
    type: "macvlan",
    master: "eth1",
    mode: "bridge",
    mtu: 1400,
    capabilities: { mac: true },
  });
  assert.equal(plugins({ type: "macvtap", master: "eth2", mode: "vepa" }, {}, eth1)[0]["master"], "eth2");
  assert.equal(plugins({ type: "macvtap", deviceID: "eth3" })[0]["master"], "eth3");
  for (const resource of ["intel.com/sriov", "macvtap.network.kubevirt.io/../x"]) {
    assert.throws(() => plugins({ type: "macvtap" }, {}, { [RESOURCE]: resource }), { code: "PT-NAD-5" });
  }
});

test("OpenShift's names of the bridge and tuning plugins mean those", () => {
  const chain = plugins({
    plugins: [{ type: "cnv-bridge", bridge: "br1", vlan: 5 }, { type: "cnv-tuning" }],
  });
  assert.deepEqual(chain, [{ type: "bridge", bridge: "br1", vlan: 5 }, { type: "tuning" }]);
});

test("whereabouts' ranges are given out by host-local", () => {
  const given = (ipam: object) =>
    plugins({ type: "bridge", ipam: { type: "whereabouts", ...ipam } })[0]["ipam"];
  const local = { type: "host-local", dataDir: "/run/leases" };
  assert.deepEqual(given({ range: "192.168.2.225/28" }), {
    ...local,
    ranges: [[{ subnet: "192.168.2.224/28" }]],
  });
  const routes = [{ dst: "0.0.0.0/0" }];
  assert.deepEqual(given({ range: "10.0.0.10-10.0.0.20/24", gateway: "10.0.0.1", routes }), {
    ...local,
    ranges: [
      [{ subnet: "10.0.0.0/24", rangeStart: "10.0.0.10", rangeEnd: "10.0.0.20", gateway: "10.0.0.1" }],
    ],
    routes,
  });
  const ipRanges = [{ range: "10.1.0.0/24", range_start: "10.1.0.5" }, { range: "fd00::/64" }];
  assert.deepEqual(given({ ipRanges }), {
    ...local,
    ranges: [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.5" }], [{ subnet: "fd00::/64" }]],
  });
  for (const ipam of [
    { range: "10.0.0.0/24", exclude: ["10.0.0.8/29"] },
    { range: "x" },
    {},
    { ipRanges: [1] },
  ]) {
    assert.deepEqual(given(ipam), { type: "whereabouts", ...ipam }, "left as it is");
  }
});

test("leases are kept with the pods unless the NAD says where", () => {
  const ipam = { type: "host-local", subnet: "10.0.0.0/24" };
  assert.deepEqual(plugins({ type: "ptp", ipam })[0]["ipam"], { ...ipam, dataDir: "/run/leases" });
  const own = { ...ipam, dataDir: "/data" };
  assert.deepEqual(plugins({ type: "ptp", ipam: own })[0]["ipam"], own);
});

test("an IPAM that gives nothing is none, unless something is asked of it", () => {
  const ipam = { type: "static" };
  assert.deepEqual(plugins({ type: "bridge", ipam })[0]["ipam"], {});
  assert.deepEqual(plugins({ type: "bridge", ipam }, { ips: ["10.0.0.1/24"] })[0]["ipam"], ipam);
  const addressed = { type: "static", addresses: [{ address: "10.0.0.1/24" }] };
  assert.deepEqual(plugins({ type: "bridge", ipam: addressed })[0]["ipam"], addressed);
});

test("cni-args go to every plugin, addresses to the first, where it has no capability for them", () => {
  const config = { plugins: [{ type: "bridge", args: { cni: { a: 0, b: 1 } } }, { type: "tuning" }] };
  const [first, second] = plugins(config, { "cni-args": { a: 2 }, ips: ["10.0.0.1"] });
  assert.deepEqual(first["args"], { cni: { a: 2, b: 1, ips: ["10.0.0.1"] } });
  assert.deepEqual(second?.["args"], { cni: { a: 2 } });
  const capable = { type: "bridge", capabilities: { ips: true } };
  assert.equal(plugins(capable, { ips: ["10.0.0.1"] })[0]["args"], undefined);
});

test("a device resource that nobody hands out is told", () => {
  const device = nad("n", { type: "host-device" }, { annotations: { [RESOURCE]: "intel.com/vf" } });
  assert.match(nadNetwork(device, {}, folders).notes.join(), /intel\.com\/vf is not handed out/);
});

test("planning is told the chain and what it hangs on", () => {
  const facts = (config: object) => networkAttachment(nadNetwork(nad("n", config), {}, folders).network);
  assert.deepEqual(facts({ plugins: [{ type: "bridge", bridge: "br1" }, { type: "tuning" }] }), {
    plugins: ["bridge", "tuning"],
    master: "br1",
  });
  assert.deepEqual(facts({ type: "ipvlan", master: "eth1", mode: "l2" }), {
    plugins: ["ipvlan"],
    master: "eth1",
    mode: "l2",
  });
  assert.deepEqual(facts({ type: "ptp" }), { plugins: ["ptp"] });
});

test("network-status has the pod's link, its addresses, and gateways of default routes only", () => {
  const result = parseCniResult({
    cniVersion: "1.1.0",
    interfaces: [
      { name: "br1", mac: "02:00:00:00:00:01" },
      { name: "net1", mac: "02:00:00:00:00:02", mtu: 1400, sandbox: "/x" },
    ],
    ips: [
      { address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 },
      { address: "fd00::2/64", gateway: "fd00::1", interface: 1 },
    ],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["10.0.0.53"], domain: "a.b", search: ["c.d"], options: ["ndots:2"] },
  });
  assert.ok(result);
  assert.deepEqual(statusOf({ name: "default/n", ifName: "net1", primary: false }, result), {
    name: "default/n",
    interface: "net1",
    ips: ["10.0.0.2", "fd00::2"],
    mac: "02:00:00:00:00:02",
    mtu: 1400,
    dns: { nameservers: ["10.0.0.53"], domain: "a.b", search: ["c.d"], options: ["ndots:2"] },
    gateway: ["10.0.0.1"],
  });
});

test("the narrowest of the host's links is a bridge's port before the bridge, and the device itself elsewhere", () => {
  const links = [
    { name: "br0", mtu: 1400 },
    { name: "veth1", mtu: 1500, master: "br0" },
    { name: "eth9", mtu: 1400, master: "br0" },
    { name: "eth1", mtu: 9000 },
    { name: "veth2", mtu: 576, master: "br1" },
  ];
  const on = (master?: string) =>
    onHostsLinks({ plugins: ["bridge"], ...(master !== undefined && { master }) }, links).narrowest;
  assert.deepEqual(on("br0"), { link: "eth9", mtu: 1400 });
  assert.deepEqual(on("eth1"), { link: "eth1", mtu: 9000 });
  assert.equal(on("gone"), undefined);
  assert.equal(on(), undefined);
});
