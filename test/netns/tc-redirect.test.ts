/**
 * tc-redirect on the real kernel: every classifier that it has, with namespace guests of every family, real DHCP
 * clients and frames that were made by hand.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Vmi } from "../../src/api/types.ts";
import { unwirePod, wirePod } from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import { tcRedirect } from "../../src/bindings/tc-redirect/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { sendFrame } from "../../src/linux/packet-socket.ts";
import type { Classifier } from "../../src/plan/plan.ts";
import { vmi } from "../support/builders.ts";
import { ethernet, guestFrames, networkFrames } from "../support/frames.ts";
import { frameSocket, judgeFrames } from "../support/judge-frames.ts";
import { dhclient6, startNamespaceGuest, udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires } from "../support/netns.ts";
import { answer, listen } from "../support/talk.ts";
import { watch, watchFrames } from "../support/watch.ts";
import {
  addressesOf,
  HOST_IP,
  OTHER,
  POD,
  type PodOptions,
  type Segment,
  type WiredPod,
  wiredPod,
} from "../support/wired-pod.ts";

type Family = "v4" | "v6";

const CNI_FOLDERS = ["/usr/lib/cni", "/opt/cni/bin"];
const LARGE = 32 << 20;

const STACKS = { v4: ["v4"], v6: ["v6"], dual: ["v4", "v6"] } as const;
const DHCP_AND_RA =
  "udp port 67 or udp port 68 or udp port 546 or udp port 547 or icmp6 and ip6[40] >= 133 and ip6[40] <= 134";
const needs = requires("root", "nft", "udhcpc", "dhclient");
/** What this kernel has; the outer guest's has them all. */
const CLASSIFIERS = needs.skip === false ? hostFeatures().classifiers : [];

for (const classifier of CLASSIFIERS) {
  for (const stack of ["v4", "v6", "dual"] as const) {
    const families: readonly Family[] = STACKS[stack];
    test(
      `${classifier}, ${stack}: addresses by DHCP, in and out, nothing said in between`,
      needs,
      async (t) => {
        const it = await place(t, classifier, { stack });
        const outside = await watchFrames(
          t,
          it.host.name,
          "v0",
          `ether src ${it.nic.mac} and (${DHCP_AND_RA})`,
        );
        const { guest } = it;
        const tap = it.kernel.readLinks().find(({ name }) => name === "tap0");
        // While phase 1 was at work the network went on talking.
        const early = it.counter("not_redirected");
        const podStack = await watchFrames(t, guest.netns, guest.nic, `ether src ${tap?.mac}`);
        await addressed(it, families);
        for (const [port, protocol] of [
          [22, "tcp"],
          [40_000, "udp"],
        ] as const)
          await listen(t, guest, "guest", protocol, port);
        for (const protocol of ["tcp", "udp"] as const)
          await listen(t, it.neighbour, "neighbour", protocol, 8080);
        for (const family of families) {
          for (const protocol of ["tcp", "udp"] as const) {
            const said = await answer(guest, OTHER[family], protocol, 8080);
            assert.equal(said, `neighbour ${POD[family]}`, `${family} ${protocol} out`);
          }
          await guest.read("ping", "-c1", "-W2", OTHER[family]);
          await guest.read("ping", "-c1", "-W2", HOST_IP[family]);
          it.host.run("ping", "-c1", "-W2", POD[family]);
          assert.equal(await answer(it.neighbour, POD[family], "tcp", 22), `guest ${OTHER[family]}`);
          assert.equal(await answer(it.host, POD[family], "udp", 40_000), `guest ${HOST_IP[family]}`);
          assert.equal(await answer(it.host, POD[family], "tcp", 23), "refused", "by the guest itself");
        }
        assert.deepEqual(outside.lines(), [], "DHCP and router discovery stay inside");
        assert.deepEqual(podStack.lines(), [], "the pod's own stack says nothing to the guest");
        assert.equal(it.counter("not_redirected"), early);
        assert.deepEqual(wireAgain(it), []);
      },
    );
  }

  test(
    `${classifier}: the kernel passes and drops each frame as planned, and counts by kind`,
    needs,
    async (t) => {
      const it = await place(t, classifier);
      const { guest } = it;
      const parties = {
        guest: {
          mac: it.nic.mac,
          v4: POD.v4 as Ip,
          v6: POD.v6 as Ip,
          linkLocal: linkLocalIn(await guest.read("ip", "-6", "address", "show", "dev", guest.nic)),
        },
        other: { mac: "0a:58:0a:63:00:03" as Mac, v4: OTHER.v4 as Ip, v6: OTHER.v6 as Ip },
        router: routerOf(it),
      };
      const inside = frameSocket(t, guest.netns, guest.nic);
      const outside = frameSocket(t, it.host.name, "v0");
      await judgeFrames(it, guestFrames(parties), inside, outside);
      await judgeFrames(it, networkFrames(parties), outside, inside);
    },
  );

  test(`${classifier}: 9000 bytes of MTU, and segments larger than any frame`, needs, async (t) => {
    const it = await place(t, classifier, { mtu: 9000 });
    const { guest } = it;
    await addressed(it);
    assert.equal(it.nic.domain.mtu, 9000);
    for (const family of ["v4", "v6"] as const) {
      const head = family === "v4" ? 28 : 48;
      await guest.read("ping", "-c1", "-W2", "-M", "do", "-s", String(9000 - head), OTHER[family]);
    }
    const sizes = await watchFrames(t, it.host.name, "v0", "tcp port 7000 and greater 20000");
    for (const ip of [OTHER.v4, `[${OTHER.v6}]`]) {
      const receive = `socat -u TCP6-LISTEN:7000,ipv6only=0,reuseaddr - | wc -c`;
      const receiver = await watch(t, it.neighbour.name, /^/, "sh", "-c", receive);
      const send = `head -c ${LARGE} /dev/zero | socat -u - TCP:${ip}:7000,retry=50,interval=0.1`;
      await guest.read("sh", "-c", send);
      await eventually("all of it is there", () => receiver.lines().includes(String(LARGE)));
    }
    await eventually("segments pass whole", () => sizes.lines().length > 0);
    assert.deepEqual(wireAgain(it), []);
  });

  test(
    `${classifier}: a tap that was made anew, a filter that was taken out: the next run repairs`,
    needs,
    async (t) => {
      const it = await place(t, classifier);
      // Its tap does not survive the machine's going.
      process.kill(it.guest.relayPid, "SIGKILL");
      it.pod.run("ip", "link", "delete", "tap0");
      const remade = wireAgain(it);
      assert.ok(remade.includes("tap.add"));
      assert.equal(remade.filter((op) => op === "redirect.set").length, 2);
      it.pod.run("tc", "filter", "delete", "dev", "eth0", "ingress");
      assert.deepEqual(wireAgain(it), ["redirect.set"]);
      it.pod.run("tc", "qdisc", "delete", "dev", "tap0", "clsact");
      assert.deepEqual(wireAgain(it), ["redirect.set"]);
      assert.deepEqual(wireAgain(it), []);
      const door = { podNetns: it.pod.name, tap: "tap0", mac: it.nic.mac };
      const guest = await startNamespaceGuest(door);
      t.after(() => guest.stop());
      await guest.read("ip", "address", "add", `${POD.v4}/24`, "dev", guest.nic);
      await guest.read("ping", "-c1", "-W2", OTHER.v4);
    },
  );
}

test("an eBPF redirect is replaced without losing a frame", needs, async (t) => {
  const it = await place(t, "bpf", { stack: "v4" });
  await addressed(it, ["v4"]);
  const redirects = it.nic.links.flatMap((link) =>
    (link.type === "tap" || link.type === "pod-nic") && link.redirect
      ? [{ link: link.name, redirect: link.redirect }]
      : [],
  );
  assert.equal(redirects.length, 2);
  let over = false;
  const ping = it.guest.exec("ping", ["-q", "-c", "300", "-i", "0.002", OTHER.v4]).finally(() => {
    over = true;
  });
  let replaced = 0;
  while (!over) {
    for (const { link, redirect } of redirects) {
      const local = replaced % 2 === 0 ? [] : redirect.local;
      it.kernel.run({ op: "redirect.set", link, redirect: { ...redirect, local } });
    }
    replaced += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match((await ping).stdout, /300 received, 0% packet loss/);
  assert.ok(replaced > 10);
});

test("one filter of a set taken out, or another classifier, is a drift", needs, async (t) => {
  const it = await place(t, "u32");
  const handle =
    /fh (\S+::\S+) /.exec(
      it.pod.run("tc", "filter", "show", "dev", "tap0", "ingress", "prio", "28789"),
    )?.[1] ?? "";
  it.pod.run(
    "tc",
    "filter",
    "delete",
    "dev",
    "tap0",
    "ingress",
    "prio",
    "28789",
    "protocol",
    "ipv6",
    "handle",
    handle,
    "u32",
  );
  assert.deepEqual(wireAgain(it), ["redirect.set"]);
  const [tap] = it.nic.links ?? [];
  assert.ok(tap?.type === "tap" && tap.redirect);
  it.kernel.run({ op: "redirect.set", link: "tap0", redirect: { ...tap.redirect, classifier: "bpf" } });
  assert.equal(it.kernel.readRedirects(["tap0"])["tap0"]?.classifier, "bpf");
  assert.deepEqual(wireAgain(it), ["redirect.set"]);
  assert.equal(it.kernel.readRedirects(["tap0"])["tap0"]?.classifier, "u32");
  assert.doesNotMatch(it.pod.run("tc", "filter", "show", "dev", "tap0", "ingress"), /bpf/);
});

test("other people's filters and qdiscs are neither replaced nor removed", needs, async (t) => {
  const it = await place(t, "bpf");
  const filter = (...more: readonly string[]) =>
    it.pod.run(
      "tc",
      "filter",
      "add",
      "dev",
      "eth0",
      ...more,
      "u32",
      "match",
      "u32",
      "0x7f000001",
      "0xffffffff",
      "at",
      "12",
      "flowid",
      "1:1",
    );
  filter("ingress", "protocol", "ip", "prio", "5");
  filter("egress", "protocol", "ip", "prio", "5");
  it.kernel.run({ op: "redirect.delete", link: "eth0" });
  assert.match(it.pod.run("tc", "filter", "show", "dev", "eth0", "ingress"), /pref 5 u32/);
  assert.match(it.pod.run("tc", "filter", "show", "dev", "eth0", "egress"), /pref 5 u32/);
  assert.deepEqual(wireAgain(it), ["redirect.set"]);
  it.kernel.run({ op: "redirect.delete", link: "eth0" });
  filter("ingress", "protocol", "ip", "prio", "28788");
  assert.throws(() => wireAgain(it), /a u32 filter that is not podtap's has priority 28788/);
  it.pod.run("tc", "filter", "delete", "dev", "eth0", "ingress", "prio", "28788");
  assert.deepEqual(unwirePod(it.kernel, it.files), []);
  assert.match(it.pod.run("tc", "filter", "show", "dev", "eth0", "ingress"), /pref 5 u32/);
});

test("an `ingress` qdisc that is there already is used and left", needs, async (t) => {
  const it = await place(t, "u32");
  it.kernel.run({ op: "redirect.delete", link: "eth0" });
  it.pod.run("tc", "qdisc", "add", "dev", "eth0", "ingress");
  assert.deepEqual(wireAgain(it), ["redirect.set"]);
  assert.deepEqual(wireAgain(it), []);
  assert.deepEqual(unwirePod(it.kernel, it.files), []);
  assert.match(it.pod.run("tc", "qdisc", "show", "dev", "eth0"), /qdisc ingress ffff:/);
});

test("torn down, the pod is CNI's again and speaks for itself", needs, async (t) => {
  const it = await place(t, "bpf");
  const read = (): string =>
    [
      it.pod.run("ip", "-br", "address", "show", "dev", "eth0"),
      it.pod.run("ip", "route"),
      it.pod.run("ip", "-6", "route"),
    ].join("");
  const wired = read();
  await assert.rejects(async () => it.pod.run("ping", "-c1", "-W1", HOST_IP.v4), "deaf and mute while wired");
  assert.ok(it.counter("pod_silenced") > 0);
  assert.deepEqual(unwirePod(it.kernel, it.files), []);
  assert.equal(read(), wired, "nothing of the pod NIC was touched");
  it.pod.run("ping", "-c1", "-W2", HOST_IP.v4);
  it.pod.run("ping", "-c1", "-W2", HOST_IP.v6);
  assert.doesNotMatch(it.pod.run("tc", "qdisc", "show"), /clsact/);
  assert.equal(it.pod.run("nft", "list", "ruleset"), "");
});

test("a lease is renewed by unicast, to a server that only the tap knows", needs, async (t) => {
  const it = await place(t, "bpf", { stack: "v4" });
  const outside = await watchFrames(t, it.host.name, "v0", "udp port 67 or udp port 68");
  const { guest } = it;
  await addressed(it, ["v4"]);
  const client = await watch(t, guest.netns, /lease of/, "udhcpc", "-f", "-i", guest.nic, "-s", "/bin/true");
  const unicast = await watchFrames(t, guest.netns, guest.nic, "udp dst port 67 and not ether broadcast");
  const leases = (): number => client.lines().filter((line) => line.includes("lease of")).length;
  // udhcpc asks the server that leased, at once and by unicast.
  process.kill(client.pid, "SIGUSR1");
  await eventually("the lease is renewed", () => leases() === 2);
  assert.equal(unicast.lines().length, 1);
  assert.deepEqual(outside.lines(), []);
});

test("several queues", needs, async (t) => {
  const it = await place(t, "bpf", { queues: 2 });
  assert.match(it.pod.run("ip", "-d", "link", "show", "tap0"), /multi_queue/);
  await addressed(it);
  await it.guest.read("ping", "-c1", "-W2", OTHER.v6);
});

test(
  "dhcp: external: the network's own server is asked, and the guest may have any address",
  needs,
  async (t) => {
    const features = { classifiers: ["bpf"] as const };
    const it = await wiredPod(t, withBinding({ "podtap.io/dhcp": "external" }), { features });
    const { guest } = it;
    assert.deepEqual(it.nic.services, []);
    const outside = await watchFrames(t, it.host.name, "v0", "udp port 67");
    assert.equal(await udhcpc(guest, ["-t", "1"]), undefined, "nobody serves here");
    await eventually("the question is on the network", () => outside.lines().length > 0);
    await guest.read("ip", "address", "add", "10.99.0.50/24", "dev", guest.nic);
    await guest.read("ping", "-c1", "-W2", OTHER.v4);
  },
);

test("over a macvlan, which no bridge can take: both families in and out", needs, async (t) => {
  const prepare = ({ host, pod }: Segment): void => {
    pod.run("ip", "link", "delete", "eth0");
    host.run("ip", "link", "add", "lower", "up", "type", "veth", "peer", "name", "v2");
    host.run("ip", "link", "set", "v2", "master", "br0", "up");
    host.run("ip", "link", "add", "mv0", "link", "lower", "type", "macvlan", "mode", "bridge");
    host.run("ip", "link", "set", "mv0", "netns", pod.name, "name", "eth0");
    for (const address of addressesOf("dual", 2)) {
      pod.run("ip", "address", "add", address, "dev", "eth0", ...(address.includes(":") ? ["nodad"] : []));
    }
    pod.run("ip", "link", "set", "eth0", "up");
    for (const via of Object.values(HOST_IP)) pod.run("ip", "route", "add", "default", "via", via);
  };
  const it = await place(t, "bpf", { prepare });
  await addressed(it);
  for (const family of ["v4", "v6"] as const) {
    await it.guest.read("ping", "-c1", "-W2", OTHER[family]);
    it.neighbour.run("ip", "neigh", "flush", "dev", "eth0");
    it.neighbour.run("ping", "-c1", "-W2", POD[family]);
  }
});

test(
  "CNI's bridge plugin finds its pod as it left it: CHECK while wired, DEL afterwards",
  requires("root", "nft", "cni"),
  async (t) => {
    const cni = (command: string, place: Segment, previous?: object): object => {
      const ranges = [[{ subnet: "10.99.7.0/24" }]];
      const config = {
        cniVersion: "1.0.0",
        name: `tc-${process.pid}`,
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        ipam: { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }], dataDir: folder },
        ...(previous && { prevResult: previous }),
      };
      const plugins = CNI_FOLDERS.find((path) => existsSync(join(path, "bridge"))) ?? "";
      const environment = {
        CNI_COMMAND: command,
        CNI_CONTAINERID: place.pod.name,
        CNI_NETNS: place.pod.path,
        CNI_IFNAME: "eth0",
        CNI_PATH: plugins,
      };
      const words = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
      const program = ["netns", "exec", place.host.name, "env", ...words, join(plugins, "bridge")];
      const said = execFileSync("ip", program, { input: JSON.stringify(config), encoding: "utf8" });
      return said === "" ? {} : (JSON.parse(said) as object);
    };
    const folder = mkdtempSync(join(tmpdir(), "pt-cni-"));
    t.after(() => rmSync(folder, { recursive: true }));
    let result: object = {};
    const prepare = (segment: Segment): void => {
      segment.pod.run("ip", "link", "delete", "eth0");
      result = cni("ADD", segment);
    };
    const it = await place(t, "bpf", { prepare });
    cni("CHECK", it, result);
    const lease = await udhcpc(it.guest);
    assert.match(lease?.["ip"] ?? "", /^10\.99\.7\./);
    await it.guest.read("ping", "-c1", "-W2", "10.99.7.1");
    assert.deepEqual(unwirePod(it.kernel, it.files), []);
    cni("CHECK", it, result);
    cni("DEL", it, result);
    assert.ok(!it.kernel.readLinks().some(({ name }) => name === "eth0"));
  },
);

test("a pod without address is a plain wire, for VLAN tags too", needs, async (t) => {
  const it = await place(t, "bpf", { stack: "none" });
  const early = it.counter("not_redirected");
  await it.guest.read("ip", "address", "add", "10.99.0.60/24", "dev", it.guest.nic);
  await it.guest.read("ping", "-c1", "-W2", OTHER.v4);
  assert.equal(it.counter("not_redirected"), early);
  const tagged = await watchFrames(t, it.host.name, "v0", `ether src ${it.nic.mac} and vlan 7`);
  const inner = ethernet("ff:ff:ff:ff:ff:ff" as Mac, it.nic.mac, 0x8100, Uint8Array.of(0, 7, 0x08, 0x06));
  sendFrame(frameSocket(t, it.guest.netns, it.guest.nic), inner);
  await eventually("the tag passes", () => tagged.lines().length > 0);
});

function place(t: TestContext, classifier: Classifier, options: PodOptions = {}): Promise<WiredPod> {
  return wiredPod(t, withBinding(), { ...options, features: { classifiers: [classifier] } });
}

function withBinding(annotations: Readonly<Record<string, string>> = {}): Vmi {
  const { masquerade: _, ...nic } = vmi().spec.domain.devices.interfaces?.[0] ?? { name: "default" };
  const spec = { domain: { devices: { interfaces: [{ ...nic, ...tcRedirect.spelling }] } } };
  return vmi({ spec, annotations });
}

/** What is missing when phase 1 runs again, done. */
function wireAgain(it: WiredPod): readonly string[] {
  const result = wirePod(it.kernel, it.input, it.files, registry);
  assert.ok(result.ok);
  return result.value.steps.map(({ op }) => op);
}

async function addressed(it: WiredPod, families: readonly Family[] = ["v4", "v6"]): Promise<void> {
  const { guest } = it;
  const lease = await udhcpc(guest, families.includes("v4") ? [] : ["-t", "1"]);
  assert.equal(lease?.["ip"], families.includes("v4") ? POD.v4 : undefined);
  if (families.includes("v4")) assert.equal(lease?.["router"], HOST_IP.v4);
  if (!families.includes("v6")) return;
  const [ip, router] = [POD.v6, routerOf(it)];
  await eventually("the network's own router as default", async () =>
    (await guest.read("ip", "-6", "route", "show", "default")).includes(`via ${router} `),
  );
  await dhclient6(guest);
  assert.match(await guest.read("ip", "-6", "address", "show", "dev", guest.nic), new RegExp(` ${ip}/128 `));
}

function routerOf(it: WiredPod): Ip {
  return linkLocalIn(it.host.run("ip", "-6", "address", "show", "dev", "br0"));
}

function linkLocalIn(text: string): Ip {
  const found = /inet6 (fe80::[0-9a-f:]+)\//.exec(text)?.[1];
  assert.ok(found, text);
  return found as Ip;
}
