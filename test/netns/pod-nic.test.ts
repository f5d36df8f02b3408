/** Taking a pod's NIC aside and giving it back, on the real kernel. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type PodFiles, podFiles, unwirePod } from "../../src/apply/wire-pod.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import { createNetns, deleteNetns } from "../../src/linux/netns.ts";
import { type OpenNic, podNicContract, takeAside } from "../contract/pod-nic.contract.ts";
import { connect, eventually, requires, type TestPod, testPod } from "../support/netns.ts";

requires("root", "tap"); // throws where CI demands them
const cni = requires("root", "tap", "cni");

const PARK = hostFeatures().dummy ? "dummy" : "bridge";
const PLUGINS = "/usr/lib/cni";
let made = 0;

podNicContract("kernel", openNic, {
  park: PARK,
  killedIn: ["a bridge with routes", "AWS", "CNI's ptp", "many ways"],
});

for (const plugin of ["ptp", "bridge"]) {
  test(`what CNI's ${plugin} made is as it was, and CNI finds it so`, cni, (t) => {
    const { pod, kernel, files } = open(t);
    const node = testPod(t, "node");
    const network = {
      cniVersion: "1.0.0",
      name: "pt-aside",
      type: plugin,
      ...(plugin === "bridge" && { bridge: "pt-br", isGateway: true }),
      ipam: {
        type: "host-local",
        dataDir: join(files.plan, "../../ipam"),
        ranges: [[{ subnet: "10.77.0.0/24" }], [{ subnet: "fd77::/64" }]],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      },
    };
    const run = (command: string, more = {}): string =>
      runCni(node, pod, plugin, command, { ...network, ...more });
    const prevResult = JSON.parse(run("ADD"));
    const before = shown(pod.name);
    assert.match(before, /default via fd77::1/);
    takeAside(kernel, files, PARK);
    assert.notEqual(shown(pod.name), before);
    assert.deepEqual(unwirePod(kernel, files), []);
    // podtap does not have an address proved unique that was in use a moment ago.
    assert.equal(shown(pod.name).replaceAll(" nodad", ""), before);
    run("CHECK", { prevResult });
    run("DEL", { prevResult });
  });
}

test("link-local addresses that the kernel gave the NIC meanwhile do not stay", cni, async (t) => {
  const { pod, kernel, files } = open(t);
  const node = testPod(t, "node");
  pod.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  connect({ pod, link: "eth0", peer: node, peerLink: "veth0" });
  pod.run("ip", "address", "add", "10.244.0.5/24", "brd", "+", "dev", "eth0");
  const linkLocals = (link: string): readonly string[] =>
    pod.run("ip", "-6", "address", "show", "dev", link).match(/fe80:[^/]+/g) ?? [];
  const [own] = await eventually("the kernel's own", () => nonEmpty(linkLocals("eth0")));
  const before = shown(pod.name);
  takeAside(kernel, files, PARK);
  assert.deepEqual(linkLocals("eth0-nic"), []);
  for (const state of ["down", "up"]) pod.run("ip", "link", "set", "eth0-nic", state);
  const [other] = await eventually("another one", () => nonEmpty(linkLocals("eth0-nic")));
  assert.notEqual(other, own);
  assert.deepEqual(unwirePod(kernel, files), []);
  assert.deepEqual(linkLocals("eth0"), [own]);
  assert.equal(shown(pod.name).replaceAll(" nodad", ""), before);
});

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}

function open(t: TestContext): {
  readonly pod: TestPod;
  readonly kernel: OpenKernel;
  readonly files: PodFiles;
} {
  const pod = testPod(t);
  const kernel = openKernel(pod.path);
  const folder = mkdtempSync(join(tmpdir(), "pt-aside-"));
  t.after(() => {
    kernel.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const state = join(folder, "state");
  mkdirSync(state);
  return { pod, kernel, files: podFiles(state) };
}

function runCni(node: TestPod, pod: TestPod, plugin: string, command: string, network: object): string {
  const call = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.name,
    CNI_NETNS: pod.path,
    CNI_IFNAME: "eth0",
    CNI_PATH: PLUGINS,
  };
  const words = Object.entries(call).map(([key, value]) => `${key}=${value}`);
  const inNode = ["netns", "exec", node.name, "env", ...words, join(PLUGINS, plugin)];
  return execFileSync("ip", inNode, { input: JSON.stringify(network), encoding: "utf8" });
}

/** As iproute2 shows it: more than podtap looks at. */
function shown(netns: string): string {
  const show = (...what: readonly string[]): string =>
    execFileSync("ip", ["-n", netns, "-d", ...what], { encoding: "utf8" });
  return [
    show("address", "show", "dev", "eth0"),
    show("-4", "route", "show", "table", "all"),
    // Those of the local table come some time after their addresses.
    show("-6", "route", "show"),
    show("neighbour", "show", "nud", "permanent"),
  ]
    .join("\n")
    .replaceAll(" proto kernel_ll", ""); // Who gave a link-local address, as newer tools tell, is not given back.
}

function openNic(): ReturnType<OpenNic> {
  made += 1;
  const name = `pt-${process.pid}-${made}-nic`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  const commands = [
    "link add eth0 address 0a:58:0a:f4:00:05 mtu 1450 type veth peer name outside mtu 1450",
    // Link-local addresses of the kernel's own come late, and so does their loss.
    "link set outside addrgenmode none",
    "link set eth0 addrgenmode none",
    "link set outside up",
    "link set eth0 up",
  ];
  execFileSync("ip", ["-n", name, "-batch", "-"], { input: `${commands.join("\n")}\n` });
  const kernel = openKernel(path);
  return {
    kernel,
    shown: () => shown(name),
    close: () => {
      kernel.close();
      deleteNetns(path);
    },
  };
}
