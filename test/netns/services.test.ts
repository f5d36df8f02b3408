/** Services, the way out and the wall to the host: real traffic between real pods on a host of the test's own. */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { Pod, Service } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { type Cni, createCni } from "../../src/cluster/local/cni/cni.ts";
import { defaultNetwork, POD_BRIDGE } from "../../src/cluster/local/cni/default-network.ts";
import { needsHairpin, setHairpin } from "../../src/cluster/local/cni/hairpin.ts";
import { enableForwarding } from "../../src/cluster/local/cni/host-forwarding.ts";
import { deletePodBridge, makePodBridge } from "../../src/cluster/local/cni/pod-bridge.ts";
import { podAddresses } from "../../src/cluster/local/cni/result.ts";
import {
  DROPPED_TO_HOST,
  type HostPorts,
  hostTables,
  REJECTED_NO_ENDPOINT,
} from "../../src/cluster/local/services/host-tables.ts";
import { selectEndpoints } from "../../src/cluster/local/services/service-endpoints.ts";
import { addServiceRoutes, missingRoutes } from "../../src/cluster/local/services/service-routes.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import { nftTables, readNftCounters } from "../../src/linux/nft-tables.ts";
import { readSysctl, writeSysctl } from "../../src/linux/sysctl.ts";
import { connect, eventually, requires, type TestPod, testPod } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const run = promisify(execFile);
const root = requires("root", "ip", "nft", "cni");
const folder = root.skip === false ? mkdtempSync("/run/pt-services-") : "";
const PODS = { v4: "10.88.0.0/20" as Cidr, v6: "fd12:3456:789a:1::/64" as Cidr };
const SERVICES = ["10.96.0.0/20", "fd12:3456:789a:2::/112"] as Cidr[];
const WEB = ["10.96.0.80", "fd12:3456:789a:2::80"] as const;
const EMPTY = ["10.96.0.81", "fd12:3456:789a:2::81"] as const;
const sysctls = { readSysctl, writeSysctl };

interface RunningPod extends TestPod {
  readonly ips: readonly Ip[];
  readonly object: Pod;
}

interface Host {
  readonly cni: Cni;
  readonly pods: readonly RunningPod[];
  apply(ports?: readonly HostPorts[], services?: readonly Service[]): Promise<void>;
}

async function host(t: TestContext, bridgeNetfilter: boolean, count: number): Promise<Host> {
  for (const key of ["iptables", "ip6tables"]) {
    writeSysctl(`net/bridge/bridge-nf-call-${key}`, bridgeNetfilter ? "1" : "0");
  }
  enableForwarding(sysctls, ["lo"], join(folder, "sysctls.json"));
  const cni = createCni({
    cacheDir: join(folder, "cache"),
    pluginDirs: ["/usr/lib/cni", "/opt/cni/bin"],
    timeoutMs: 20_000,
  });
  const network = defaultNetwork({
    ranges: PODS,
    mtu: 1500,
    hairpin: bridgeNetfilter,
    leaseDir: join(folder, "leases"),
  });
  const kernel = openKernel("/proc/self/ns/net");
  makePodBridge(kernel, { name: POD_BRIDGE, ranges: PODS, mtu: 1500 });
  makePodBridge(kernel, { name: POD_BRIDGE, ranges: PODS, mtu: 1500 });
  const pods: RunningPod[] = [];
  t.after(async () => {
    for (const name of cni.list()) await cni.deleteAll(name);
    nftTables.delete([
      { family: "ip", name: "podtap" },
      { family: "ip6", name: "podtap" },
    ]);
    deletePodBridge(kernel, POD_BRIDGE);
    kernel.close();
  });
  for (let i = 0; i < count; i++) {
    const pod = testPod(t, `p${i}`);
    const result = await cni.add({
      containerId: pod.name,
      netnsPath: pod.path,
      ifName: "eth0",
      network,
      pod: { namespace: "default", name: pod.name },
    });
    const ips = podAddresses(result, "eth0");
    await serve(t, pod, `p${i}`, ["tcp4:8080", "tcp6:8080", "udp4:5353", "udp6:5353"]);
    const object: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: pod.name,
        namespace: "default",
        labels: { app: "web", "kubevirt.io": "virt-launcher", pod: `p${i}` },
      },
      spec: { containers: [{ ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }] }] },
      status: { phase: "Running", podIPs: ips.map((ip) => ({ ip })) },
    };
    pods.push({ ...pod, ips, object });
  }
  const apply: Host["apply"] = async (hostPorts = [], services = [web({ app: "web" }), empty()]) => {
    const endpoints = selectEndpoints(
      services,
      pods.map(({ object }) => object),
    );
    const tables = hostTables({
      services: endpoints,
      serviceRanges: SERVICES,
      podRanges: [PODS.v4, PODS.v6],
      bridge: POD_BRIDGE,
      podAddresses: pods.flatMap(({ ips }) => ips),
      hostPorts,
    });
    nftTables.replace(tables);
    await addServiceRoutes(missingRoutes(SERVICES, POD_BRIDGE, []), POD_BRIDGE);
  };
  await apply();
  return { cni, pods, apply };
}

function web(selector: Record<string, string>): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: {
      selector,
      clusterIPs: WEB,
      ports: [
        { name: "http", port: 80, targetPort: "http" },
        { name: "dns", port: 53, protocol: "UDP", targetPort: 5353 },
      ],
    },
  };
}

function empty(): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "empty", namespace: "default" },
    spec: {
      selector: { app: "nobody" },
      clusterIPs: EMPTY,
      ports: [{ port: 80 }, { port: 53, protocol: "UDP" }],
    },
  };
}

/** Answers with its name and the address it sees. Arguments: name, then `tcp4:8080`, `udp6:5353` … */
const SERVER = `
  import { createServer } from "node:net";
  import { createSocket } from "node:dgram";
  const [name, ...listen] = process.argv.slice(2);
  let waiting = listen.length;
  const ready = () => --waiting || process.stdout.write("ready\\n");
  for (const one of listen) {
    const [, protocol, family, port] = /(tcp|udp)([46]):(\\d+)/.exec(one);
    const host = family === "4" ? "0.0.0.0" : "::";
    if (protocol === "tcp") {
      createServer((socket) => socket.on("error", () => {}).end(name + " " + socket.remoteAddress + "\\n"))
        .listen({ port: Number(port), host, ipv6Only: true }, ready);
    } else {
      const socket = createSocket({ type: "udp" + family, ipv6Only: family === "6" });
      socket.on("message", (_, from) => socket.send(name + " " + from.address + "\\n", from.port, from.address));
      socket.bind(Number(port), host, ready);
    }
  }`;

async function serve(
  t: TestContext,
  where: TestPod | "host",
  name: string,
  listen: readonly string[],
): Promise<void> {
  const script = join(folder, "server.mjs");
  writeFileSync(script, SERVER);
  const enter = where === "host" ? [] : ["ip", "netns", "exec", where.name];
  const [program = "", ...args] = [...enter, process.execPath, script, name, ...listen];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  await new Promise((resolve) => child.stdout.once("data", resolve));
}

// The whole datagram in one read: bash's own takes a byte at a time and loses the rest.
const ASK = `exec 3<>/dev/$1/$2/$3 || exit 1; [ $1 = tcp ] || echo hi >&3; timeout 2 head -n 1 <&3 || exit 2`;

/** The answer, or why there was none. */
async function ask(
  from: TestPod | "host",
  protocol: "tcp" | "udp",
  ip: string,
  port: number,
): Promise<string> {
  const enter = from === "host" ? [] : ["ip", "netns", "exec", from.name];
  const [program = "", ...args] = [
    ...enter,
    "timeout",
    "3",
    "bash",
    "-c",
    ASK,
    "ask",
    protocol,
    ip,
    String(port),
  ];
  const start = performance.now();
  const answer = await run(program, args).then(
    ({ stdout }) => stdout.trim(),
    (error: { stderr: string; code: number }) =>
      /refused/i.test(error.stderr) ? "refused" : `none (${error.code})`,
  );
  return answer === "" && performance.now() - start < 1000 ? "refused" : answer;
}

for (const bridgeNetfilter of [false, true]) {
  const state = `bridge netfilter ${bridgeNetfilter ? "on" : "off"}`;

  test(`a Service is reached from host, pods and the pod itself, ${state}`, root, async (t) => {
    const { pods, apply } = await host(t, bridgeNetfilter, 2);
    const [first, second] = pods as [RunningPod, RunningPod];
    await apply([], [web({ pod: "p0" }), empty()]);
    for (const [family, ip] of WEB.entries()) {
      for (const [protocol, port] of [
        ["tcp", 80],
        ["udp", 53],
      ] as const) {
        const what = `${protocol} ${ip}`;
        assert.match(await ask("host", protocol, ip, port), /^p0 /, `${what} from the host`);
        assert.match(await ask(second, protocol, ip, port), /^p0 /, `${what} from another pod`);
        assert.match(await ask(first, protocol, ip, port), /^p0 /, `${what} from itself`);
      }
      // Pod to pod without a Service keeps its address.
      assert.equal(await ask(second, "tcp", first.ips[family] ?? "", 8080), `p0 ${second.ips[family]}`);
    }
  });

  test(`a Service without endpoints, or a port it has not, is refused at once, ${state}`, root, async (t) => {
    const { pods } = await host(t, bridgeNetfilter, 1);
    const [pod] = pods as [RunningPod];
    for (const ip of [...EMPTY, WEB[0]]) {
      for (const protocol of ["tcp", "udp"] as const) {
        const port = ip === WEB[0] ? 4444 : protocol === "tcp" ? 80 : 53;
        assert.equal(await ask(pod, protocol, ip, port), "refused", `${protocol} ${ip} from a pod`);
        assert.equal(await ask("host", protocol, ip, port), "refused", `${protocol} ${ip} from the host`);
      }
    }
    const { [REJECTED_NO_ENDPOINT]: rejected } = readNftCounters({ family: "ip", name: "podtap" });
    assert.ok(rejected && rejected.packets >= 8);
  });
}

test("a pod still reaches itself when bridge netfilter is switched on under it", root, async (t) => {
  const { pods } = await host(t, false, 1);
  const [pod] = pods as [RunningPod];
  assert.equal(needsHairpin(readSysctl), false);
  writeSysctl("net/bridge/bridge-nf-call-iptables", "1");
  assert.equal(needsHairpin(readSysctl), true);
  assert.equal(setHairpin(POD_BRIDGE, true).length, 1);
  assert.deepEqual(setHairpin(POD_BRIDGE, true), []);
  assert.match(await ask(pod, "tcp", WEB[0], 80), /^p0 /);
  assert.deepEqual(setHairpin("nobridge0", true), []);
});

test("several endpoints all get connections, and a changed Service sends to the new one", root, async (t) => {
  const { pods, apply } = await host(t, true, 3);
  const [asker] = pods as [RunningPod];
  for (const ip of WEB) {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(asker, "tcp", ip, 80)));
    const names = new Set(answers.map((answer) => answer.split(" ")[0]));
    assert.deepEqual([...names].toSorted(), ["p0", "p1", "p2"], answers.join(", "));
  }
  await apply([], [web({ pod: "p2" }), empty()]);
  assert.match(await ask(asker, "udp", WEB[0], 53), /^p2 /);
  assert.match(await ask(asker, "tcp", WEB[1], 80), /^p2 /);
});

test("pods reach the world with the host's address, and not the host", root, async (t) => {
  const { pods, apply } = await host(t, true, 1);
  const [pod] = pods as [RunningPod];
  const world = testPod(t, "world");
  const uplink = testPod(t, "cable");
  // A veth whose other end is the host: made between two namespaces, then taken home.
  connect({
    pod: uplink,
    link: "up0",
    peer: world,
    peerLink: "w0",
    peerAddresses: ["198.51.100.1/24", "2001:db8:1::1/64"],
  });
  execFileSync("ip", ["-n", uplink.name, "link", "set", "up0", "netns", String(process.pid)]);
  execFileSync("ip", ["address", "add", "198.51.100.2/24", "dev", "up0"]);
  execFileSync("ip", ["address", "add", "2001:db8:1::2/64", "dev", "up0", "nodad"]);
  execFileSync("ip", ["link", "set", "up0", "up"]);
  await serve(t, world, "world", ["tcp4:80", "tcp6:80"]);
  await serve(t, "host", "closed", ["tcp4:9000", "tcp6:9000"]);
  await serve(t, "host", "open", ["tcp4:9001", "tcp6:9001"]);
  await apply([{ protocol: "TCP", port: 9001 }]);
  assert.equal(
    await eventually("IPv4 is up", async () => answered(await ask(pod, "tcp", "198.51.100.1", 80))),
    "world 198.51.100.2",
  );
  const v6 = await eventually("IPv6 is up", async () => answered(await ask(pod, "tcp", "2001:db8:1::1", 80)));
  assert.equal(v6, "world 2001:db8:1::2");
  const own = ["198.51.100.2", "10.88.0.1", "2001:db8:1::2", "fd12:3456:789a:1::1"];
  for (const address of own) {
    assert.equal(await ask("host", "tcp", address, 9000), `closed ${address}`, "the host reaches itself");
    assert.match(await ask(pod, "tcp", address, 9001), /^open /, `${address}, an exception`);
    pod.run("busybox", "ping", "-c1", "-W2", address);
  }
  const closed = await Promise.all(own.map((address) => ask(pod, "tcp", address, 9000)));
  assert.ok(
    closed.every((answer) => answer.startsWith("none")),
    closed.join(", "),
  );
  for (const family of ["ip", "ip6"] as const) {
    const { [DROPPED_TO_HOST]: dropped } = readNftCounters({ family, name: "podtap" });
    assert.ok(dropped && dropped.packets >= 2, family);
  }
  for (const ip of pod.ips)
    assert.match(await ask("host", "tcp", ip, 8080), /^p0 /, "the host reaches its pods");
  assert.match(await ask(world, "tcp", "198.51.100.2", 9000), /^closed /, "others reach the host as before");
});

test("the host's tables are replaced as a whole and are gone after deletion", root, async (t) => {
  const { apply } = await host(t, false, 1);
  await apply();
  const once = execFileSync("nft", ["-s", "list", "ruleset"], { encoding: "utf8" });
  await apply();
  assert.equal(execFileSync("nft", ["-s", "list", "ruleset"], { encoding: "utf8" }), once);
  assert.equal(once.match(/^table /gm)?.length, 2);
  nftTables.delete([
    { family: "ip", name: "podtap" },
    { family: "ip6", name: "podtap" },
  ]);
  assert.equal(execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }), "");
});

test("the Service tests leave nothing on their host", root, () => {
  assert.equal(execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }), "");
  assert.doesNotMatch(execFileSync("ip", ["-o", "link"], { encoding: "utf8" }), /podtap0|veth/);
  rmSync(folder, { recursive: true });
});

function answered(answer: string): string | undefined {
  return answer.startsWith("none") || answer === "refused" ? undefined : answer;
}
