/** Networks of NADs by the standard CNI plugins, for real, on a host of the test's own. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Nad, NetworkSpec, Vmi } from "../../src/api/types.ts";
import { secondaryPodInterface } from "../../src/base/names.ts";
import { type AttachedNetwork, attachNetworks } from "../../src/cluster/local/cni/attach-networks.ts";
import { type Cni, createCni } from "../../src/cluster/local/cni/cni.ts";
import { networkAttachment } from "../../src/cluster/local/cni/network-attachment.ts";
import { requestedNetworks } from "../../src/cluster/local/cni/requested-networks.ts";
import { networkAnnotations } from "../../src/cluster/multus/pod-networks.ts";
import { vmi } from "../support/builders.ts";
import { nad, networkSources } from "../support/nads.ts";
import { eventually, requires, type TestPod, testPod } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const root = requires("root", "ip", "cni");
const folder = root.skip === false ? mkdtempSync("/run/pt-nets-") : "";
const LAN = secondaryPodInterface("lan");
const BLUE = secondaryPodInterface("blue");

const bridged = { type: "bridge", bridge: "pt-br1" };
const hostLocal = (subnet: string) => ({ type: "host-local", subnet });

function runtime(pluginDirs: readonly string[] = ["/usr/lib/cni", "/opt/cni/bin"]): Cni {
  return createCni({ cacheDir: join(folder, "cache"), pluginDirs, timeoutMs: 20_000 });
}

interface Wired {
  readonly pod: TestPod;
  readonly attached: readonly AttachedNetwork[];
  status(link: string): AttachedNetwork["status"] | undefined;
  /** Text of `ip -details link show`. */
  show(link: string): string;
  detach(): Promise<void>;
}

/** A VMI with a NIC a network, attached as the node does it. */
async function attach(t: TestContext, wanted: Vmi, nads: readonly Nad[], cni = runtime()): Promise<Wired> {
  const pod = testPod(t, "nets");
  t.after(() => cni.deleteAll(pod.name));
  const annotations = { ...wanted.metadata.annotations, ...networkAnnotations(wanted) };
  const requested = await requestedNetworks(annotations, "default", networkSources(folder, nads));
  const place = { containerId: pod.name, netnsPath: pod.path, pod: { namespace: "default", name: "p" } };
  const attached = await attachNetworks(cni, place, requested);
  return {
    pod,
    attached,
    status: (link) => attached.find(({ status }) => status.interface === link)?.status,
    show: (link) => pod.run("ip", "-details", "link", "show", "dev", link),
    detach: () => cni.deleteAll(pod.name),
  };
}

/** The pod network and these, each with an interface of the same name. */
function vmiOn(
  networks: readonly NetworkSpec[],
  more: {
    readonly macs?: Readonly<Record<string, string>>;
    readonly annotations?: Record<string, string>;
  } = {},
): Vmi {
  const all = networks.some(({ multus }) => multus?.default)
    ? networks
    : [{ name: "default", pod: {} }, ...networks];
  const interfaces = all.map(({ name }) => ({
    name,
    bridge: {},
    ...(more.macs?.[name] !== undefined && { macAddress: more.macs[name] }),
  }));
  return vmi({
    annotations: more.annotations ?? {},
    spec: { domain: { devices: { interfaces } }, networks: all },
  });
}

const multus = (name: string, networkName = name): NetworkSpec => ({ name, multus: { networkName } });

function leases(): readonly string[] {
  const dir = join(folder, "leases");
  const files = existsSync(dir) ? readdirSync(dir, { recursive: true, encoding: "utf8" }) : [];
  return files.filter((name) => /\/\d+\.\d+\.\d+\.\d+$/.test(name));
}

function hostLinks(): readonly string[] {
  return execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => line.split(": ")[1]?.split("@")[0] ?? []);
}

function cable(t: TestContext, ...[one, other]: readonly [string, string]): void {
  execFileSync("ip", ["link", "add", one, "type", "veth", "peer", "name", other]);
  for (const link of [one, other]) execFileSync("ip", ["link", "set", link, "up"]);
  t.after(() => execFileSync("ip", ["link", "delete", one]));
}

test("two NADs beside the pod network: order, names, MAC, addresses and network-status", root, async (t) => {
  const nads = [
    nad("lan", { ...bridged, name: "lan-net", ipam: hostLocal("10.61.0.0/24") }),
    nad("blue", { type: "bridge", bridge: "pt-br2", mtu: 1400 }, { namespace: "net" }),
  ];
  const macs = { lan: "02:AA:00:00:00:01" };
  const wanted = vmiOn([multus("blue", "net/blue"), multus("lan")], { macs });
  const { attached, pod, show, status, detach } = await attach(t, wanted, nads);
  assert.deepEqual(
    attached.map((one) => [one.status.name, one.status.interface, one.status.default]),
    [
      ["podtap", "eth0", true],
      ["net/blue", BLUE, undefined],
      ["default/lan", LAN, undefined],
    ],
  );
  assert.deepEqual(status(LAN), {
    name: "default/lan",
    interface: LAN,
    ips: ["10.61.0.2"],
    mac: "02:aa:00:00:00:01",
    dns: {},
  });
  assert.equal(status(BLUE)?.ips, undefined);
  assert.deepEqual(status("eth0")?.gateway, ["10.88.0.1"]);
  assert.match(show(LAN), /link\/ether 02:aa:00:00:00:01/);
  assert.match(show(BLUE), /mtu 1400/);
  assert.deepEqual(
    [...pod.run("ip", "-o", "link").matchAll(/^\d+: ([^:@]+)@/gm)].map(([, name]) => name),
    ["eth0", BLUE, LAN],
  );
  assert.equal(leases().length, 2);
  await detach();
  assert.deepEqual(leases(), []);
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /eth0|pod/);
  assert.deepEqual(runtime().list(), []);
});

test("ptp gives the pod an address and a route of its own", root, async (t) => {
  const ptp = nad("ptp-conf", {
    name: "mynet",
    plugins: [
      { type: "ptp", ipam: hostLocal("10.62.0.0/24") },
      { type: "tuning", sysctl: {} },
    ],
  });
  const { pod, status, detach } = await attach(t, vmiOn([multus("lan", "ptp-conf")]), [ptp]);
  assert.deepEqual(status(LAN)?.ips, ["10.62.0.2"]);
  assert.match(pod.run("ip", "route"), new RegExp(`10\\.62\\.0\\.1 dev ${LAN} scope link`));
  pod.run("busybox", "ping", "-c1", "-W2", "10.62.0.1");
  await detach();
  assert.deepEqual(leases(), []);
});

test("macvlan on a link of the host, and KubeVirt's macvtap networks by it", root, async (t) => {
  cable(t, "pt-up0", "pt-up1");
  const nads = [
    nad("lan", { type: "macvlan", master: "pt-up0", mode: "bridge", mtu: 1400 }),
    nad(
      "blue",
      { type: "macvtap", mtu: 1300 },
      {
        annotations: { "k8s.v1.cni.cncf.io/resourceName": "macvtap.network.kubevirt.io/pt-up0" },
      },
    ),
  ];
  const macs = { lan: "02:aa:00:00:00:02", blue: "02:aa:00:00:00:03" };
  const { attached, pod, show, detach } = await attach(
    t,
    vmiOn([multus("lan"), multus("blue")], { macs }),
    nads,
  );
  assert.match(show(LAN), /mtu 1400 .*02:aa:00:00:00:02.*macvlan mode bridge/s);
  assert.match(show(BLUE), /mtu 1300 .*02:aa:00:00:00:03.*macvlan mode bridge/s);
  assert.match(attached[2]?.notes.join() ?? "", /by macvlan in bridge mode on pt-up0/);
  const facts = networkAttachment(runtime().networkOf(pod.name, BLUE) ?? assert.fail());
  assert.deepEqual(facts, { plugins: ["macvlan"], master: "pt-up0", mode: "bridge" });
  // What the macvtap binding does in the pod.
  pod.run("ip", "link", "add", "link", BLUE, "name", "tap9", "type", "macvtap", "mode", "bridge");
  pod.run("ip", "link", "delete", "tap9");
  await detach();
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /pod/);
});

test("host-device takes a link from the host and gives it back", root, async (t) => {
  cable(t, "pt-dev0", "pt-dev1");
  const device = nad("lan", { type: "host-device", device: "pt-dev1" });
  const { show, detach } = await attach(t, vmiOn([multus("lan")]), [device]);
  assert.match(show(LAN), /alias pt-dev1|veth/);
  assert.ok(!hostLinks().includes("pt-dev1"));
  await detach();
  assert.ok(hostLinks().includes("pt-dev1"));
});

test("a chain: tuning sets sysctls and MTU, portmap forwards a port of the host", root, async (t) => {
  const chain = nad("lan", {
    name: "chain",
    plugins: [
      { type: "bridge", bridge: "pt-br3", isGateway: true, ipam: hostLocal("10.63.0.0/24") },
      { type: "tuning", sysctl: { [`net.ipv4.conf.${LAN}.arp_notify`]: "1" }, mtu: 1280 },
      { type: "portmap", capabilities: { portMappings: true }, snat: true },
    ],
  });
  const annotations = {
    "k8s.v1.cni.cncf.io/networks": JSON.stringify([
      { name: "lan", portMappings: [{ hostPort: 20080, containerPort: 80, protocol: "tcp" }] },
    ]),
  };
  const rules = () => execFileSync("iptables-save", ["-t", "nat"], { encoding: "utf8" });
  const { pod, show, detach } = await attach(t, vmiOn([multus("lan")], { annotations }), [chain]);
  assert.match(show(LAN), /mtu 1280/);
  assert.equal(pod.run("sysctl", "-n", `net.ipv4.conf.${LAN}.arp_notify`).trim(), "1");
  assert.match(rules(), /--dport 20080 -j DNAT --to-destination 10\.63\.0\.2:80/);
  await detach();
  assert.doesNotMatch(rules(), /20080/);
});

test("addresses asked for by ips and by cni-args reach the IPAM plugin", root, async (t) => {
  const nads = [
    nad("lan", { ...bridged, name: "l", capabilities: { ips: true }, ipam: { type: "static" } }),
    nad("blue", { type: "bridge", bridge: "pt-br2", name: "b", ipam: hostLocal("10.64.0.0/24") }),
  ];
  const annotations = {
    "k8s.v1.cni.cncf.io/networks": JSON.stringify([
      { name: "blue", "cni-args": { ips: ["10.64.0.77"] } },
      { name: "lan", ips: ["10.65.0.9/24"] },
    ]),
  };
  const { status, attached } = await attach(t, vmiOn([multus("lan"), multus("blue")], { annotations }), nads);
  assert.deepEqual(status(LAN)?.ips, ["10.65.0.9"]);
  assert.deepEqual(status(BLUE)?.ips, ["10.64.0.77"]);
  assert.deepEqual(
    attached.flatMap(({ notes }) => notes),
    [],
  );
});

test("a NAD without a configuration means the file of its name", root, async (t) => {
  mkdirSync(join(folder, "net.d"), { recursive: true });
  writeFileSync(join(folder, "net.d", "00-broken.conf"), "{");
  writeFileSync(
    join(folder, "net.d", "20-lan.conflist"),
    JSON.stringify({ cniVersion: "0.4.0", name: "lan", plugins: [bridged, { type: "tuning", mtu: 1290 }] }),
  );
  const { show } = await attach(t, vmiOn([multus("lan")]), [nad("lan", "")]);
  assert.match(show(LAN), /mtu 1290/);
  await assert.rejects(attach(t, vmiOn([multus("x")]), [nad("x", " ")]), {
    code: "PT-NAD-4",
    message:
      /default\/x has no spec\.config, and no file .*net\.d has a network named x \(not readable: .*00-broken/,
  });
});

test("a default NAD takes the place of the pod network, also from Multus' namespace", root, async (t) => {
  const config = { ...bridged, name: "own", ipam: hostLocal("10.66.0.0/24") };
  for (const namespace of ["default", "kube-system"]) {
    const networks = [{ name: "red", multus: { networkName: "own", default: true } }, multus("lan")];
    const nads = [nad("own", config, { namespace }), nad("lan", { type: "bridge", bridge: "pt-br2" })];
    const { attached, detach } = await attach(t, vmiOn(networks), nads);
    const [first] = attached;
    assert.equal(first?.status.name, `${namespace}/own`);
    assert.equal(first?.status.interface, "eth0");
    assert.equal(first?.status.default, true);
    assert.match(first?.status.ips?.[0] ?? "", /^10\.66\.0\./);
    assert.equal(attached.length, 2);
    await detach();
  }
});

test("static IPAM without an address is a network without addresses, and is said to be", root, async (t) => {
  const seed = nad("lan", { name: "n", ...bridged, isGateway: false, ipam: { type: "static" } });
  const { attached } = await attach(t, vmiOn([multus("lan")]), [seed]);
  assert.equal(attached[1]?.status.ips, undefined);
  assert.match(attached[1]?.notes[0] ?? "", /static IPAM names no address/);
});

test("what is wrong with a NAD is said before anything is attached", root, async (t) => {
  const nads = [
    nad("lan", bridged),
    nad("bad", "{"),
    nad("odd", { plugins: [] }),
    nad("tap", { type: "macvtap" }),
  ];
  await assert.rejects(attach(t, vmiOn([multus("lan", "nope"), multus("blue", "net/none")]), nads), {
    code: "PT-NAD-2",
    message:
      /no NetworkAttachmentDefinition default\/nope; there are default\/bad, default\/lan, .*; there is no .*net\/none/,
    hint: /apply it/,
    retry: "on-change",
  });
  await assert.rejects(attach(t, vmiOn([multus("lan", "bad")]), nads), {
    code: "PT-CNI-1",
    message: /NetworkAttachmentDefinition default\/bad, spec\.config is not a CNI configuration/,
  });
  await assert.rejects(attach(t, vmiOn([multus("lan", "odd")]), nads), { code: "PT-CNI-1" });
  await assert.rejects(attach(t, vmiOn([multus("lan", "tap")]), nads), { code: "PT-NAD-5" });
  const clash = { "k8s.v1.cni.cncf.io/networks": "lan@eth0" };
  await assert.rejects(attach(t, vmi({ annotations: clash }), nads), { code: "PT-NAD-3", message: /eth0/ });
  assert.deepEqual(runtime().list(), []);
});

test("a missing plugin and a missing piece of the kernel are named with the NAD", root, async (t) => {
  cable(t, "pt-low0", "pt-low1");
  const ipam = { type: "static", addresses: [{ address: "10.77.0.2/24" }] };
  const cases = [
    [
      nad("lan", { type: "sriov" }),
      "PT-CNI-2",
      /network default\/lan for pod.*: there is no CNI plugin "sriov"/,
      /install/,
    ],
    [
      nad("lan", { type: "vlan", master: "pt-low0", vlanId: 7, ipam }),
      "PT-CNI-3",
      /default\/lan .*plugin vlan/,
      /CONFIG_VLAN_8021Q/,
    ],
    [
      nad("lan", { type: "ipvlan", master: "pt-low0", ipam }),
      "PT-CNI-3",
      /default\/lan .*plugin ipvlan/,
      /CONFIG_IPVLAN/,
    ],
    [
      nad("lan", { ...bridged, vlan: 7 }),
      "PT-CNI-3",
      /default\/lan .*plugin bridge/,
      /CONFIG_BRIDGE_VLAN_FILTERING/,
    ],
  ] as const;
  for (const [broken, code, message, hint] of cases) {
    // Where the kernel has the piece, the network works.
    const error = await attach(t, vmiOn([multus("lan")]), [broken]).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { readonly code: string; readonly hint: string },
    );
    if (error === undefined) {
      assert.notEqual(code, "PT-CNI-2");
      continue;
    }
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint, error.message);
  }
});

test(
  "a device that another pod has, or that is shared otherwise, is refused with the alternative",
  root,
  async (t) => {
    cable(t, "pt-low0", "pt-low1");
    const device = nad("lan", { type: "host-device", device: "pt-low0" });
    const refusal = async (again: Nad): Promise<Error & { readonly code: string; readonly hint: string }> =>
      await attach(t, vmiOn([multus("lan")]), [again]).then(
        () => assert.fail("attached"),
        (thrown: unknown) => thrown as Error & { readonly code: string; readonly hint: string },
      );
    const first = await attach(t, vmiOn([multus("lan")]), [device]);
    const taken = await refusal(device);
    assert.equal(taken.code, "PT-CNI-3");
    assert.match(taken.hint, /another pod has it, which alone can: share it by the macvlan plugin/);
    await first.detach();

    const macvlan = { type: "macvlan", master: "pt-low1" };
    const alone = await attach(t, vmiOn([multus("lan")]), [nad("lan", { ...macvlan, mode: "passthru" })]);
    assert.match(
      (await refusal(nad("lan", macvlan))).hint,
      /passthru takes the lower device for itself alone/,
    );
    assert.match((await refusal(nad("lan", { ...macvlan, mtu: 9000 }))).hint, /larger than that of the link/);
    await alone.detach();

    const twice = [
      nad("lan", { type: "host-device", device: "pt-low0" }),
      nad("blue", { type: "host-device", device: "pt-low0" }),
    ];
    await assert.rejects(attach(t, vmiOn([multus("lan"), multus("blue")]), twice), {
      code: "PT-NAD-6",
      message: /default\/lan and default\/blue both take the host's pt-low0/,
    });
  },
);

test("a network whose lower link is gone is let go, with its addresses", root, async (t) => {
  execFileSync("ip", ["link", "add", "pt-low0", "type", "veth", "peer", "name", "pt-low1"]);
  const lan = nad("lan", { type: "macvlan", master: "pt-low0", ipam: hostLocal("10.79.0.0/24") });
  const leases = join(folder, "leases", "nad", "lan");
  const wired = await attach(t, vmiOn([multus("lan")]), [lan]);
  assert.ok(readdirSync(leases).includes("10.79.0.2"));
  execFileSync("ip", ["link", "delete", "pt-low0"]);
  await wired.detach();
  assert.ok(!readdirSync(leases).includes("10.79.0.2"));
});

test("killed between two attachments, everything is given back", root, async (t) => {
  const dir = mkdtempSync(join(folder, "plugins-"));
  const mark = join(dir, "reached");
  writeFileSync(join(dir, "hang"), `#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\ntouch ${mark}\nsleep 60\n`, {
    mode: 0o755,
  });
  const pod = testPod(t, "killed");
  const networks = [
    {
      type: "bridge",
      bridge: "pt-br1",
      ipam: { ...hostLocal("10.67.0.0/24"), dataDir: join(folder, "leases") },
    },
    { type: "hang" },
  ].map((plugin) => ({ cniVersion: "0.3.1", name: `k-${plugin.type}`, plugins: [plugin] }));
  const requested = networks.map((network, i) => ({
    name: network.name,
    ifName: `net${i}`,
    primary: i === 0,
    network,
    notes: [],
  }));
  const source = join(import.meta.dirname, "../../src/cluster/local/cni");
  const program = `
    import { createCni } from "${source}/cni.ts";
    import { attachNetworks } from "${source}/attach-networks.ts";
    const pluginDirs = ["${dir}", "/usr/lib/cni", "/opt/cni/bin"];
    const cni = createCni({ cacheDir: "${join(folder, "cache")}", pluginDirs, timeoutMs: 60000 });
    await attachNetworks(cni, ${JSON.stringify({
      containerId: pod.name,
      netnsPath: pod.path,
      pod: { namespace: "default", name: "p" },
    })}, ${JSON.stringify(requested)});`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], {
    stdio: "inherit",
  });
  await eventually("the second plugin runs", () => existsSync(mark), 20_000);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  assert.equal(leases().length, 1);
  const cni = runtime([dir, "/usr/lib/cni", "/opt/cni/bin"]);
  assert.deepEqual(cni.list(), [pod.name]);
  await cni.deleteAll(pod.name);
  assert.deepEqual(cni.list(), []);
  assert.deepEqual(leases(), []);
  assert.doesNotMatch(pod.run("ip", "-o", "link"), /net0/);
});

test("the network tests leave nothing attached", root, () => {
  assert.deepEqual(runtime().list(), []);
  assert.deepEqual(leases(), []);
  assert.deepEqual(
    hostLinks().filter((name) => /^veth|^pt-(up|dev|low)/.test(name)),
    [],
  );
  rmSync(folder, { recursive: true });
});
