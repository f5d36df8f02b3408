/** The standard CNI plugins, for real, on a host of the test's own. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Cidr } from "../../src/base/ip.ts";
import { parseMac } from "../../src/base/mac.ts";
import type { Attachment } from "../../src/cluster/local/cni/attachment.ts";
import { type Cni, type CniOptions, createCni } from "../../src/cluster/local/cni/cni.ts";
import { parseCniNetwork } from "../../src/cluster/local/cni/conflist.ts";
import { defaultNetwork } from "../../src/cluster/local/cni/default-network.ts";
import { enableForwarding, restoreForwarding } from "../../src/cluster/local/cni/host-forwarding.ts";
import { loadConflist } from "../../src/cluster/local/cni/load-conflist.ts";
import { podAddresses } from "../../src/cluster/local/cni/result.ts";
import { deleteNetns, inNetns } from "../../src/linux/netns.ts";
import { readSysctl, writeSysctl } from "../../src/linux/sysctl.ts";
import { requires, type TestPod, testPod } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const root = requires("root", "ip", "cni");
const folder = root.skip === false ? mkdtempSync("/run/pt-cni-") : "";
const network = defaultNetwork({
  ranges: { v4: "10.88.0.0/20" as Cidr, v6: "fd12:3456:789a:1::/64" as Cidr },
  mtu: 1400,
  hairpin: false,
  leaseDir: join(folder, "leases"),
});

function runtime(options: Partial<CniOptions> = {}): Cni {
  const pluginDirs = ["/usr/lib/cni", "/opt/cni/bin"];
  return createCni({ cacheDir: join(folder, "cache"), pluginDirs, timeoutMs: 20_000, ...options });
}

function attachment(pod: TestPod, parts: Partial<Attachment> = {}): Attachment {
  return {
    containerId: pod.name,
    netnsPath: pod.path,
    ifName: "eth0",
    network,
    pod: { namespace: "default", name: "virt-launcher-web-abcde" },
    ...parts,
  };
}

function attachable(t: TestContext, label: string): TestPod {
  const pod = testPod(t, label);
  t.after(() => runtime().deleteAll(pod.name));
  return pod;
}

function leases(): readonly string[] {
  const dir = join(folder, "leases", "podtap");
  return existsSync(dir)
    ? readdirSync(dir).filter((name) => /^[0-9a-f]/.test(name) && /[.:]/.test(name))
    : [];
}

test("a pod gets addresses of both families, a MAC of choice, MTU and default routes", root, async (t) => {
  const pod = attachable(t, "dual");
  const mac = parseMac("02:00:00:ab:cd:ef");
  assert.ok(mac);
  const result = await runtime().add(attachment(pod, { mac }));
  const ips = podAddresses(result, "eth0");
  assert.equal(ips.length, 2);
  assert.match(ips[0] ?? "", /^10\.88\./);
  assert.match(ips[1] ?? "", /^fd12:3456:789a:1::/);
  const link = pod.run("ip", "address", "show", "dev", "eth0");
  assert.match(link, /mtu 1400 .*\n\s+link\/ether 02:00:00:ab:cd:ef/);
  for (const ip of ips) assert.ok(link.includes(ip), ip);
  assert.match(pod.run("ip", "route"), /default via 10\.88\.0\.1 dev eth0/);
  assert.match(pod.run("ip", "-6", "route"), /default via fd12:3456:789a:1::1 dev eth0/);
  assert.equal(result.interfaces.find(({ sandbox }) => sandbox !== undefined)?.mac, mac);
  await runtime().check(pod.name, "eth0");
  pod.run("busybox", "ping", "-c1", "-W2", "10.88.0.1");
});

test("attaching twice is attaching once, detaching twice too, and nothing is left", root, async (t) => {
  const pod = attachable(t, "twice");
  const cni = runtime();
  const before = leases().length;
  const first = await cni.add(attachment(pod));
  assert.deepEqual(await runtime().add(attachment(pod)), first);
  assert.equal(leases().length, before + 2);
  assert.deepEqual(cni.list().includes(pod.name), true);
  const peer = first.interfaces.find(({ name }) => name.startsWith("veth"))?.name ?? "";
  assert.ok(existsSync(`/sys/class/net/${peer}`));
  await cni.deleteAll(pod.name);
  await cni.deleteAll(pod.name);
  assert.equal(leases().length, before);
  assert.ok(!existsSync(`/sys/class/net/${peer}`));
  assert.ok(!cni.list().includes(pod.name));
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /eth0/);
});

test("addresses come back when the pod's namespace is already gone", root, async (t) => {
  const pod = attachable(t, "gone");
  const before = leases().length;
  await runtime().add(attachment(pod));
  deleteNetns(pod.path);
  await runtime().deleteAll(pod.name);
  assert.equal(leases().length, before);
  // A name without a namespace behind it, as a reboot of the run directory leaves it.
  await runtime().add(attachment(attachable(t, "other")));
  writeFileSync(pod.path, "");
  const note = join(folder, "cache", pod.name);
  mkdirSync(note, { recursive: true });
  writeFileSync(join(note, "0-eth0.json"), JSON.stringify({ attachment: attachment(pod) }));
  await runtime().deleteAll(pod.name);
  assert.ok(!runtime().list().includes(pod.name));
});

test("chained plugins see what came before and are undone backwards", root, async (t) => {
  const pod = attachable(t, "chain");
  const chain = parseCniNetwork(
    JSON.stringify({
      cniVersion: "0.4.0",
      name: "chained",
      plugins: [
        {
          type: "bridge",
          bridge: "pt-chain0",
          ipam: { type: "host-local", subnet: "10.77.0.0/24", dataDir: join(folder, "leases") },
        },
        { type: "tuning", sysctl: { "net.ipv4.conf.eth0.arp_notify": "1" }, mtu: 1280 },
      ],
    }),
    "test",
  );
  const result = await runtime().add(attachment(pod, { network: chain }));
  assert.deepEqual(podAddresses(result, "eth0"), ["10.77.0.2"]);
  assert.match(pod.run("ip", "link", "show", "eth0"), /mtu 1280/);
  assert.equal(pod.run("sysctl", "-n", "net.ipv4.conf.eth0.arp_notify").trim(), "1");
  await runtime().check(pod.name, "eth0");
  pod.run("ip", "address", "flush", "dev", "eth0");
  await assert.rejects(runtime().check(pod.name, "eth0"), { code: "PT-CNI-3" });
  await runtime().deleteAll(pod.name);
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /eth0/);
  execFileSync("ip", ["link", "delete", "pt-chain0"]);
});

test("several NICs of a pod are attached, listed and detached", root, async (t) => {
  const pod = attachable(t, "several");
  const second = { ...network, name: "podtap2" };
  const cni = runtime();
  await cni.add(attachment(pod));
  await cni.add(attachment(pod, { ifName: "pod16477688c0e", network: second }));
  assert.deepEqual(readdirSync(join(folder, "cache", pod.name)).toSorted(), [
    "0-eth0.json",
    "1-pod16477688c0e.json",
  ]);
  await cni.delete(pod.name, "eth0");
  assert.equal(cni.resultOf(pod.name, "eth0"), undefined);
  assert.ok(cni.resultOf(pod.name, "pod16477688c0e"));
  await cni.deleteAll(pod.name);
  assert.ok(!existsSync(join(folder, "cache", pod.name)));
});

test("what the kernel or the host lacks is told with plugin, words and usual cause", root, async (t) => {
  const pod = attachable(t, "errors");
  const before = leases().length;
  const conf = (config: object) =>
    parseCniNetwork(JSON.stringify({ cniVersion: "1.0.0", name: "n", ...config }), "test");
  const cases = [
    [conf({ type: "no-such-plugin" }), { code: "PT-CNI-2", hint: /containernetworking-plugins/ }],
    [
      conf({ type: "vlan", master: "lo", vlanId: 5 }),
      { code: "PT-CNI-3", message: /plugin vlan, ADD of eth0 on network n: .*code 999/ },
    ],
    [
      conf({ type: "macvlan", master: "nope0", ipam: {} }),
      { code: "PT-CNI-3", hint: /link that this host has not/ },
    ],
    [
      conf({ cniVersion: "1.1.0", type: "bridge" }),
      { code: "PT-CNI-3", hint: /this bridge speaks .*1\.0\.0/ },
    ],
    [
      conf({ plugins: [network.plugins[0], { type: "vlan", master: "nope0", vlanId: 5 }] }),
      { code: "PT-CNI-3", message: /plugin vlan/ },
    ],
  ] as const;
  for (const [broken, error] of cases) {
    await assert.rejects(runtime().add(attachment(pod, { network: broken })), error);
    assert.ok(!runtime().list().includes(pod.name), "what failed is undone");
  }
  assert.equal(leases().length, before);
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /eth0/);
  await assert.rejects(runtime().add(attachment(pod, { args: { "A;CNI_NETNS": "/" } })), {
    code: "PT-CNI-6",
  });
  await assert.rejects(runtime().add(attachment(pod, { containerId: "../x" })), { code: "PT-CNI-6" });
});

test("a plugin that hangs is stopped, one that prints nonsense is quoted", root, async (t) => {
  const pod = attachable(t, "hangs");
  const dir = mkdtempSync(join(folder, "plugins-"));
  writeFileSync(join(dir, "hang"), "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || exec sleep 60\n", { mode: 0o755 });
  writeFileSync(
    join(dir, "nonsense"),
    "#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit; echo oops; echo why >&2; exit 3\n",
    { mode: 0o755 },
  );
  writeFileSync(
    join(dir, "echo"),
    `#!/bin/sh\nenv | grep ^CNI_ > ${dir}/env; cat > ${dir}/stdin; echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.3/24","gateway":"10.1.2.1"}}'\n`,
    { mode: 0o755 },
  );
  const cni = runtime({ pluginDirs: [dir], timeoutMs: 300 });
  const list = (type: string, more: object = {}) =>
    parseCniNetwork(JSON.stringify({ name: "n", type, ...more }), "test");
  await assert.rejects(cni.add(attachment(pod, { network: list("hang") })), {
    code: "PT-CNI-4",
    retry: "soon",
  });
  await assert.rejects(cni.add(attachment(pod, { network: list("nonsense") })), {
    code: "PT-CNI-3",
    message: /no CNI answer, exit status 3 \(why\)/,
  });
  const echo = list("echo", { capabilities: { mac: true } });
  const mac = parseMac("02:00:00:00:00:09");
  assert.ok(mac);
  const result = await cni.add(attachment(pod, { network: echo, mac, args: { IP: "10.1.2.3" } }));
  assert.deepEqual(podAddresses(result, "eth0"), ["10.1.2.3"]);
  const env = readFileSync(join(dir, "env"), "utf8");
  assert.match(
    env,
    new RegExp(
      `^CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=virt-launcher-web-abcde;K8S_POD_INFRA_CONTAINER_ID=${pod.name};MAC=02:00:00:00:00:09;IP=10.1.2.3$`,
      "m",
    ),
  );
  assert.match(env, /^CNI_COMMAND=ADD$/m);
  assert.deepEqual(JSON.parse(readFileSync(join(dir, "stdin"), "utf8")).runtimeConfig, { mac });
  await cni.deleteAll(pod.name);
  assert.match(readFileSync(join(dir, "env"), "utf8"), /^CNI_COMMAND=DEL$/m);
});

test("the first configuration of a folder counts", root, () => {
  const dir = mkdtempSync(join(folder, "net.d-"));
  assert.equal(loadConflist(join(dir, "nowhere")), undefined);
  assert.equal(loadConflist(dir), undefined);
  writeFileSync(join(dir, "20-b.conf"), '{"cniVersion":"0.3.1","name":"b","type":"ptp"}');
  writeFileSync(
    join(dir, "10-a.conflist"),
    '{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"bridge"}]}',
  );
  writeFileSync(join(dir, "00-readme.txt"), "no");
  assert.equal(loadConflist(dir)?.name, "a");
  writeFileSync(join(dir, "05-broken.conf"), "{");
  assert.throws(() => loadConflist(dir), { code: "PT-CNI-1", message: /05-broken\.conf/ });
});

test("forwarding is switched on without losing the host's own IPv6, and put back", root, (t) => {
  const host = testPod(t, "host");
  const note = join(folder, "sysctls.json");
  host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "peer0");
  const read = (key: string) => inNetns(host.path, () => readSysctl(key));
  const inHost = {
    readSysctl: read,
    writeSysctl: (key: string, value: string) => inNetns(host.path, () => writeSysctl(key, value)),
  };
  const links = ["lo", "up0", "peer0"];
  inHost.writeSysctl("net/ipv6/conf/peer0/accept_ra", "0");
  const state = () => host.run("sysctl", "-a", "-r", "^net.ipv[46].*(forwarding|ip_forward|accept_ra) ");
  const before = state();
  enableForwarding(inHost, links, note);
  assert.equal(read("net/ipv4/ip_forward"), "1");
  assert.equal(read("net/ipv6/conf/all/forwarding"), "1");
  assert.equal(read("net/ipv6/conf/up0/accept_ra"), "2");
  assert.equal(read("net/ipv6/conf/peer0/accept_ra"), "0");
  assert.deepEqual(enableForwarding(inHost, links, note), []);
  restoreForwarding(inHost, note);
  assert.equal(state(), before);
  assert.deepEqual(restoreForwarding(inHost, note), []);
  // What somebody else has set since is theirs.
  enableForwarding(inHost, links, note);
  inHost.writeSysctl("net/ipv6/conf/up0/accept_ra", "0");
  restoreForwarding(inHost, note);
  assert.equal(read("net/ipv6/conf/up0/accept_ra"), "0");
});

test("the attachment tests leave the bridge alone on an empty host", root, () => {
  assert.deepEqual(runtime().list(), []);
  assert.deepEqual(leases(), []);
  assert.equal(execFileSync("ip", ["-o", "link", "show", "type", "veth"], { encoding: "utf8" }), "");
  rmSync(folder, { recursive: true });
});
