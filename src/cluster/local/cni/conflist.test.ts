import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMac } from "../../../base/mac.ts";
import { type Attachment, checkAttachment, cniArgs, passesResult, pluginConfig } from "./attachment.ts";
import { type CniNetwork, namesMac, parseCniNetwork } from "./conflist.ts";
import { pluginError } from "./plugin-error.ts";
import { parseCniResult, podAddresses } from "./result.ts";

const network = parseCniNetwork(
  '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge","capabilities":{"mac":true}},{"type":"tuning"}]}',
  "a file",
);
const attachment: Attachment = {
  containerId: "0123456789ab",
  netnsPath: "/run/netns/x",
  ifName: "eth0",
  network,
  pod: { namespace: "default", name: "virt-launcher-web-x" },
};

test("a list of plugins and a single plugin are both networks", () => {
  const single = parseCniNetwork(
    '{"cniVersion":"0.3.1","name":"one","type":"macvlan","master":"eth1"}',
    "a NAD",
  );
  assert.deepEqual(single, {
    cniVersion: "0.3.1",
    name: "one",
    plugins: [{ cniVersion: "0.3.1", name: "one", type: "macvlan", master: "eth1" }],
  } satisfies CniNetwork);
  assert.deepEqual(
    network.plugins.map(({ type }) => type),
    ["bridge", "tuning"],
  );
  assert.equal(parseCniNetwork('{"name":"unsaid","type":"ptp"}', "x").cniVersion, "0.4.0");
});

test("a network may say itself which MAC its pods have", () => {
  const named = (plugins: string): boolean =>
    namesMac(parseCniNetwork(`{"name":"n","plugins":[${plugins}]}`, "x"));
  assert.equal(named('{"type":"bridge"},{"type":"tuning","mac":"c2:b0:57:49:47:f1"}'), true);
  assert.equal(named('{"type":"macvlan","mac":""},{"type":"tuning","capabilities":{"mac":true}}'), false);
});

test("a configuration that cannot be run is refused with its source", () => {
  const bad = [
    "{",
    "[]",
    "null",
    '{"name":"n"}',
    '{"name":"n","plugins":[]}',
    '{"name":"n","plugins":{}}',
    '{"name":"n","plugins":[null]}',
    '{"name":"n","type":"../../bin/sh"}',
    '{"name":"../n","type":"bridge"}',
    '{"type":"bridge"}',
    '{"name":"n","type":"bridge","cniVersion":"one"}',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseCniNetwork(text, "/etc/cni/x.conf"),
      { code: "PT-CNI-1", message: /^\/etc\/cni\/x\.conf/ },
      text,
    );
  }
});

test("each plugin gets its own entry, the network's name, and wishes it declared to understand", () => {
  const mac = parseMac("02:00:00:00:00:01");
  assert.ok(mac);
  const wishful = { ...attachment, mac, capabilityArgs: { ips: ["10.0.0.5/24"] } };
  const [bridge, tuning] = network.plugins;
  assert.deepEqual(pluginConfig(wishful, bridge, undefined), {
    type: "bridge",
    capabilities: { mac: true },
    name: "n",
    cniVersion: "1.0.0",
    runtimeConfig: { mac },
  });
  assert.deepEqual(pluginConfig(wishful, tuning ?? bridge, { ips: [] }), {
    type: "tuning",
    name: "n",
    cniVersion: "1.0.0",
    prevResult: { ips: [] },
  });
  assert.equal(
    cniArgs({ ...wishful, args: { IP: "10.0.0.5" } }),
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=virt-launcher-web-x;K8S_POD_INFRA_CONTAINER_ID=0123456789ab;MAC=02:00:00:00:00:01;IP=10.0.0.5",
  );
});

test("arguments cannot add others", () => {
  checkAttachment(attachment);
  for (const parts of [
    { args: { A: "b;CNI_NETNS=/" } },
    { args: { "A=b": "c" } },
    { pod: { namespace: "a b", name: "c" } },
    { ifName: "../eth0" },
    { containerId: "a/b" },
    { netnsPath: "relative" },
  ]) {
    assert.throws(() => checkAttachment({ ...attachment, ...parts }), { code: "PT-CNI-6" });
  }
});

test("DEL and CHECK are told the result from 0.4.0 on", () => {
  assert.deepEqual(
    ["0.3.1", "0.4.0", "1.0.0", "1.1.0"].map((version) => passesResult("DEL", version)),
    [false, true, true, true],
  );
  assert.equal(passesResult("ADD", "1.0.0"), false);
});

test("results of all versions have one shape", () => {
  const modern = parseCniResult({
    interfaces: [{ name: "podtap0" }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/x" }],
    ips: [
      { version: "4", address: "10.88.0.5/20", gateway: "10.88.0.1", interface: 1 },
      { address: "10.88.0.1/20", interface: 0 },
      { address: "nonsense" },
    ],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "x" }],
    dns: { nameservers: ["10.0.0.1", "bad"], search: ["a.example", 5] },
  });
  assert.deepEqual(modern, {
    interfaces: [{ name: "podtap0" }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/x" }],
    ips: [
      { address: "10.88.0.5/20", gateway: "10.88.0.1", interface: 1 },
      { address: "10.88.0.1/20", interface: 0 },
    ],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["10.0.0.1"], search: ["a.example"] },
  });
  assert.ok(modern);
  assert.deepEqual(podAddresses(modern, "eth0"), ["10.88.0.5"]);
  const old = parseCniResult({
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.2/24", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
  });
  assert.ok(old);
  assert.deepEqual(podAddresses(old, "eth0"), ["10.1.0.2"]);
  assert.deepEqual(old.routes, [{ dst: "0.0.0.0/0" }]);
  for (const nothing of [undefined, null, 5, "x", []]) assert.equal(parseCniResult(nothing), undefined);
});

test("a plugin's complaint is told with its usual cause and whether to try again", () => {
  const failure = { plugin: "bridge", command: "ADD", network: "n", ifName: "eth0" };
  const cases = [
    [{ code: 999, msg: "operation not supported" }, /kernel lacks what bridge needs/, "soon"],
    [
      { code: 999, msg: 'failed to locate iptables: exec: "iptables": executable file not found' },
      /iptables, which is not installed/,
      "soon",
    ],
    [{ code: 999, msg: "no IP addresses available in range set: 10.0.0.1-10.0.0.2" }, /used up/, "soon"],
    [
      { code: 999, msg: '"podtap0" already has an IP address different from 10.88.0.1/20' },
      /made for another network/,
      "soon",
    ],
    [{ code: 999, msg: "failed to create macvlan: invalid argument" }, /passthru takes the lower/, "soon"],
    [{ code: 999, msg: "invalid MTU 9000, must be [0, master MTU(1500)]" }, /larger than that of/, "soon"],
    [
      { code: 999, msg: "failed to add route '{0.0.0.0 0} via 10.0.0.1 dev net1': file exists" },
      /gives this route twice: with isDefaultGateway/,
      "soon",
    ],
    [{ code: 11, msg: "busy" }, undefined, "soon"],
    [{ code: 7, msg: "invalid", details: "vlan 5000" }, undefined, "on-change"],
    [{ code: 1, msg: "incompatible CNI versions" }, /speaks 0\.4\.0, 1\.0\.0/, "on-change"],
  ] as const;
  for (const [said, hint, retry] of cases) {
    const error = pluginError({ ...failure, said, versions: ["0.4.0", "1.0.0"] });
    assert.match(
      error.message,
      new RegExp(`^CNI plugin bridge, ADD of eth0 on network n: .*code ${said.code}$`),
    );
    if (hint === undefined) assert.equal(error.hint, undefined);
    else assert.match(error.hint ?? "", hint);
    assert.equal(error.retry, retry);
  }
});
