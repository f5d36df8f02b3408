/** macvtap, with packets: who reaches whom, what the guest is told and by whom, what is dropped and counted. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { linkHost, unlinkHost } from "../../src/apply/host-link.ts";
import { observe } from "../../src/apply/observe.ts";
import type { Kernel } from "../../src/apply/ports.ts";
import { previewPod, unwirePod } from "../../src/apply/wire-pod.ts";
import { registry } from "../../src/bindings/index.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import { advertise, advertiseTo, ROUTER } from "../support/advertise.ts";
import {
  HOST_IP,
  lanNetwork,
  type MacvtapPod,
  macvlanPod,
  OTHER_IP,
  POD_IP,
  type PodNetwork,
  podNetwork,
  wireMacvtap,
} from "../support/macvtap-pod.ts";
import { dhclient6, type NamespaceGuest, udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires, type TestPod } from "../support/netns.ts";
import { answer, ask, listen } from "../support/talk.ts";

const families = ["v4", "v6"] as const;
const needs = requires("root", "nft", "ip", "udhcpc", "dhclient");

/** Like a test's context, for what several tests share. */
function shared(): { after(fn: () => unknown): void; undo(): Promise<void> } {
  const undo: (() => unknown)[] = [];
  return {
    after: (fn) => void undo.push(fn),
    undo: async () => {
      for (const fn of undo.toReversed()) await fn();
    },
  };
}

describe("macvtap on the pod network", needs, () => {
  const scope = shared();
  let net: PodNetwork;
  let it: MacvtapPod;
  let guest: NamespaceGuest;
  let overheard: Ear;
  let mac: string;
  before(async () => {
    net = podNetwork(scope as never);
    mac = net.pod.run("cat", "/sys/class/net/eth0/address").trim();
    it = wireMacvtap(scope as never, net.pod);
    overheard = await overhear(scope, net.host, "br0");
    guest = await it.startGuest();
    assert.ok(await udhcpc(guest));
    await dhclient6(guest);
    await listen(scope, guest, "guest", "tcp", 80);
    await listen(scope, guest, "guest", "udp", 5353);
    await listen(scope, net.neighbour, "neighbour", "tcp", 8080);
    await listen(scope, net.host, "host", "udp", 53);
  });
  after(() => scope.undo());

  test("the guest has the pod's MAC and, by DHCP, the pod's address, router and resolver", async () => {
    assert.equal(it.nic.mac, mac);
    const lease = await udhcpc(guest);
    assert.equal(lease?.["ip"], POD_IP.v4);
    assert.equal(lease?.["router"], HOST_IP.v4);
    assert.equal(lease?.["dns"], HOST_IP.v4);
  });

  test("the default route and the prefix come by router advertisement, the address by DHCPv6", async () => {
    const link = /inet6 (fe80::[0-9a-f:]+)/.exec(net.host.run("ip", "-6", "addr", "show", "dev", "br0"))?.[1];
    assert.ok(link);
    await eventually("the host as router", async () =>
      (await guest.read("ip", "-6", "route", "show", "default")).includes(`via ${link}`) ? true : undefined,
    );
    const addresses = await guest.read("ip", "-6", "address", "show", "dev", "eth0");
    assert.ok(addresses.includes(` ${POD_IP.v6}/128 `), addresses);
    await eventually("a route to the prefix", async () =>
      (await guest.read("ip", "-6", "route", "show", "fd98::/64")).includes("expires") ? true : undefined,
    );
  });

  test("a renewal, asked of the server that nobody has, is answered", async () => {
    const asked = it.counter("asked_inside");
    const client = guest.start("udhcpc", ["-f", "-i", guest.nic, "-s", "/bin/true"]);
    let said = "";
    client.stderr?.on("data", (data: Buffer) => {
      said += data.toString();
    });
    const leases = () => said.split("lease of").length - 1;
    await eventually("a lease", () => leases() === 1 || undefined);
    const afterwards = it.counter("asked_inside");
    assert.ok(afterwards > asked);
    client.kill("SIGUSR1");
    await eventually("the lease again", () => leases() === 2 || undefined);
    assert.doesNotMatch(said.split("lease of")[1] ?? "", /discover/);
    client.kill("SIGTERM");
  });

  for (const family of families) {
    test(`${family}: reached by neighbours and by the host, out to both, as itself`, async () => {
      assert.equal(await answer(net.neighbour, POD_IP[family], "tcp", 80), `guest ${OTHER_IP[family]}`);
      assert.equal(await answer(net.host, POD_IP[family], "tcp", 80), `guest ${HOST_IP[family]}`);
      assert.equal(await answer(net.neighbour, POD_IP[family], "udp", 5353), `guest ${OTHER_IP[family]}`);
      assert.equal(await answer(guest, OTHER_IP[family], "tcp", 8080), `neighbour ${POD_IP[family]}`);
      assert.equal(await answer(guest, HOST_IP[family], "udp", 53), `host ${POD_IP[family]}`);
      await guest.read("ping", "-c1", "-W2", HOST_IP[family]);
    });
  }

  test("a large packet passes whole", async () => {
    await guest.read("ping", "-c1", "-W2", "-M", "do", "-s", "1472", OTHER_IP.v4);
  });

  test("a forged sender does not leave the macvtap, and is counted by kind", async () => {
    const names = ["spoofed_ipv4", "spoofed_ipv6", "spoofed_mac", "spoofed_router", "other_ethertype"];
    const before = names.map((name) => it.counter(name));
    await guest.read("ip", "address", "add", "10.98.0.99/24", "dev", "eth0");
    await guest.read("ip", "address", "add", "fdbe::99/64", "dev", "eth0", "nodad");
    await guest.exec("ping", ["-c1", "-W1", "-I", "10.98.0.99", OTHER_IP.v4]);
    await guest.exec("ping", ["-c1", "-W1", "-I", "fdbe::99", OTHER_IP.v6]);
    // A macvlan speaks with a MAC of its own.
    await guest.read("ip", "link", "add", "forged", "link", "eth0", "type", "macvlan", "mode", "bridge");
    await guest.read("ip", "address", "add", "10.98.0.50/24", "dev", "forged");
    await guest.read("ip", "link", "set", "forged", "up");
    await guest.exec("ping", ["-c1", "-W1", "-I", "forged", OTHER_IP.v4]);
    await guest.read("ip", "link", "del", "forged");
    await guest.exec("socat", ["-u", "STDIN", "UDP4-SENDTO:255.255.255.255:68,sourceport=67,broadcast"], {
      input: "offer",
    });
    // LLDP, as a switch would say it.
    const lldp = ["0180c200000e", mac.replaceAll(":", ""), "88cc", "00".repeat(46)].join("");
    const bytes = lldp.replaceAll(
      /../g,
      (hex) => `\\\\${Number.parseInt(hex, 16).toString(8).padStart(3, "0")}`,
    );
    await guest.read("sh", "-c", `printf ${bytes} | socat -u STDIN INTERFACE:eth0`);
    names.forEach((name, i) => {
      assert.ok(it.counter(name) > (before[i] ?? 0), name);
    });
    await guest.read("ip", "address", "del", "10.98.0.99/24", "dev", "eth0");
    await guest.read("ip", "address", "del", "fdbe::99/64", "dev", "eth0");
    assert.equal(await answer(guest, OTHER_IP.v4, "tcp", 8080), `neighbour ${POD_IP.v4}`);
  });

  test("offers and advertisements of others do not reach the guest", async () => {
    const before = it.counter("foreign_dhcp");
    net.neighbour.run("sh", "-c", "echo offer | socat -u STDIN UDP4-SENDTO:255.255.255.255:68,broadcast");
    await eventually("it is counted", () => it.counter("foreign_dhcp") > before || undefined);
  });

  test("nothing that is said between podtap and its guest is heard outside", async () => {
    assert.ok(it.counter("asked_inside") > 0);
    await assertQuiet(overheard, it);
  });

  test("after all that nothing has drifted, and the teardown restores what CNI made", async () => {
    const preview = previewPod(it.kernel, it.input, it.files, registry);
    assert.ok(preview.ok);
    assert.deepEqual(preview.value.steps, []);
    assert.deepEqual(unwirePod(it.kernel, it.files), []);
    const links = it.kernel.readLinks().filter(({ name }) => name !== "lo");
    assert.deepEqual(
      links.map((link) => [link.name, link.mac]),
      [["eth0", mac]],
    );
    net.pod.run("ping", "-c1", "-W2", HOST_IP.v4);
    net.pod.run("ping", "-c1", "-W2", HOST_IP.v6);
  });
});

for (const mtu of [1400, 9000]) {
  test(`macvtap with an MTU of ${mtu}: the guest is told, and such packets pass whole`, needs, async (t) => {
    const net = podNetwork(t, mtu);
    const it = wireMacvtap(t, net.pod);
    const guest = await it.startGuest();
    assert.equal((await udhcpc(guest))?.["mtu"], String(mtu));
    assert.equal(it.nic.domain.mtu, mtu);
    const whole = ["-c1", "-W2", "-M", "do", "-s", String(mtu - 28)];
    await guest.read("ping", ...whole, OTHER_IP.v4);
    net.neighbour.run("ping", ...whole, POD_IP.v4);
  });
}

test("macvtap opened by several queues carries traffic on them", needs, async (t) => {
  const net = podNetwork(t);
  const guest = await wireMacvtap(t, net.pod).startGuest(4);
  assert.ok(await udhcpc(guest));
  await listen(t, guest, "guest", "tcp", 80);
  for (let i = 0; i < 8; i++) {
    assert.equal(await answer(net.host, POD_IP.v4, "tcp", 80), `guest ${HOST_IP.v4}`);
  }
});

for (const mode of ["private", "vepa", "passthru"] as const) {
  test(
    `macvtap in mode ${mode}: nobody answers the guest, which reaches the network all the same`,
    needs,
    async (t) => {
      const net = podNetwork(t);
      const it = wireMacvtap(t, net.pod, { annotations: { "podtap.io/macvlan-mode": mode } });
      assert.deepEqual(it.nic.services, []);
      assert.ok(it.nic.notes.some((note) => note.includes(`mode ${mode}`)));
      const guest = await it.startGuest();
      await guest.read("ip", "address", "add", `${POD_IP.v4}/24`, "dev", "eth0");
      await guest.read("ip", "address", "add", `${POD_IP.v6}/64`, "dev", "eth0", "nodad");
      await listen(t, guest, "guest", "tcp", 80);
      for (const family of families) {
        assert.equal(await answer(net.neighbour, POD_IP[family], "tcp", 80), `guest ${OTHER_IP[family]}`);
      }
      const spoofed = it.counter("spoofed_ipv4");
      await guest.read("ip", "address", "add", "10.98.0.99/24", "dev", "eth0");
      await guest.exec("ping", ["-c1", "-W1", "-I", "10.98.0.99", OTHER_IP.v4]);
      assert.ok(it.counter("spoofed_ipv4") > spoofed);
      assert.deepEqual(unwirePod(it.kernel, it.files), []);
      net.pod.run("ping", "-c1", "-W2", HOST_IP.v4);
    },
  );
}

test(
  "macvtap with port security mac: a shared address is reached, a foreign MAC stays in",
  needs,
  async (t) => {
    const net = podNetwork(t);
    const it = wireMacvtap(t, net.pod, { annotations: { "podtap.io/port-security": "mac" } });
    const guest = await it.startGuest();
    assert.ok(await udhcpc(guest));
    await guest.read("ip", "address", "add", "10.98.0.99/24", "dev", "eth0");
    net.neighbour.run("ping", "-c1", "-W2", "10.98.0.99");
    await guest.read("ip", "link", "add", "forged", "link", "eth0", "type", "macvlan", "mode", "bridge");
    await guest.read("ip", "address", "add", "10.98.0.98/24", "dev", "forged");
    await guest.read("ip", "link", "set", "forged", "up");
    await guest.exec("ping", ["-c1", "-W1", "-I", "forged", OTHER_IP.v4]);
    await eventually("it is counted", () => it.counter("spoofed_mac") > 0 || undefined);
  },
);

test("macvtap in mode passthru without port security: a virtual MAC is spoken to", needs, async (t) => {
  const net = podNetwork(t);
  const annotations = { "podtap.io/macvlan-mode": "passthru", "podtap.io/port-security": "off" };
  const guest = await wireMacvtap(t, net.pod, { annotations }).startGuest();
  const mac = "00:00:5e:00:01:07";
  // Linux answers for all of its addresses on every link otherwise.
  await guest.read("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1");
  const virtual = ["link", "eth0", "address", mac, "type", "macvlan", "mode", "bridge"];
  await guest.read("ip", "link", "add", "vrrp", ...virtual);
  await guest.read("ip", "address", "add", "10.98.0.99/24", "dev", "vrrp");
  await guest.read("ip", "link", "set", "vrrp", "up");
  net.neighbour.run("ping", "-c1", "-W2", "10.98.0.99");
  assert.match(net.neighbour.run("ip", "neigh", "show", "10.98.0.99"), new RegExp(mac));
});

test(
  "macvtap on a host's interface: the LAN's own DHCP, other guests, and not the host itself",
  needs,
  async (t) => {
    const net = lanNetwork(t);
    dhcpServer(t, net.lan);
    const [one, two] = await Promise.all(
      ["one", "two"].map(async (name) => {
        const wired = wireMacvtap(t, macvlanPod(t, net), { name, networkName: "lan" });
        return { wired, guest: await wired.startGuest() };
      }),
    );
    assert.ok(one && two);
    assert.equal(one.wired.nic.macOrigin, "derived");
    assert.deepEqual(one.wired.nic.services, []);
    const ips = [];
    for (const { guest } of [one, two]) ips.push((await udhcpc(guest))?.["ip"]);
    assert.match(ips.join(" "), /^10\.97\.0\.[56]\d 10\.97\.0\.[56]\d$/);
    assert.notEqual(ips[0], ips[1]);
    await listen(t, two.guest, "two", "tcp", 80);
    assert.equal(await answer(net.lan, ips[1] ?? "", "tcp", 80), "two 10.97.0.9");
    assert.equal(await answer(one.guest, ips[1] ?? "", "tcp", 80), `two ${ips[0]}`);
    assert.equal(
      await ask(net.host, ips[1] ?? "", "tcp", 80),
      "silence",
      "macvlan keeps host and guest apart",
    );
    assert.ok(one.wired.nic.notes.some((note) => note.includes("the host itself")));
    // The guard is at the macvtap, so it holds towards a sibling on the same interface, too.
    await one.guest.read("ip", "link", "add", "forged", "link", "eth0", "type", "macvlan", "mode", "bridge");
    await one.guest.read("ip", "address", "add", "10.97.0.99/24", "dev", "forged");
    await one.guest.read("ip", "link", "set", "forged", "up");
    await one.guest.exec("ping", ["-c1", "-W1", "-I", "forged", ips[1] ?? ""]);
    assert.ok(one.wired.counter("spoofed_mac") > 0);
  },
);

test(
  "macvtap on a host's interface: what the pod hears of the LAN's router is not the guest's",
  needs,
  async (t) => {
    const net = lanNetwork(t);
    const pod = macvlanPod(t, net);
    advertiseTo(pod, net.lan, "lan");
    const it = wireMacvtap(t, pod, { networkName: "lan" });
    assert.deepEqual(it.nic.addresses, { pod: [], guest: [] });
    const guest = await it.startGuest();
    const heard = async (): Promise<boolean> => {
      advertise(net.lan, "lan");
      return (await guest.read("ip", "-6", "route", "show", "default")).includes(ROUTER.linkLocal);
    };
    await eventually("the guest hears the router itself", heard);
    // The pod NIC hears it too, where it is.
    const preview = previewPod(it.kernel, it.input, it.files, registry);
    assert.deepEqual(preview.ok && preview.value.steps, []);
    await guest.stop();
    assert.deepEqual(unwirePod(it.kernel, it.files), []);
    const [nic] = it.kernel.readLinks().filter(({ name }) => name === it.nic.podInterface);
    const lasting = nic?.addresses.filter(
      (one) => !one.startsWith("fe80:") && !nic.advertised?.includes(one),
    );
    assert.deepEqual(lasting, [], "nothing that would outlive the router");
  },
);

test(
  "macvtap on a host's interface with IPAM: served inside, and the LAN hears nothing of it",
  needs,
  async (t) => {
    const net = lanNetwork(t);
    const pod = macvlanPod(t, net, ["10.97.0.7/24"]);
    const it = wireMacvtap(t, pod, { networkName: "lan" });
    const overheard = await overhear(t, net.lan, "lan");
    const guest = await it.startGuest();
    assert.equal((await udhcpc(guest))?.["ip"], "10.97.0.7");
    await listen(t, guest, "guest", "tcp", 80);
    assert.equal(await answer(net.lan, "10.97.0.7", "tcp", 80), "guest 10.97.0.9");
    await assertQuiet(overheard, it);
    assert.deepEqual(unwirePod(it.kernel, it.files), []);
    pod.run("ping", "-c1", "-W2", "10.97.0.9");
  },
);

test(
  "macvtap with host access: the host and the guest hear each other, and the LAN hears no change",
  needs,
  async (t) => {
    const net = lanNetwork(t);
    const pod = macvlanPod(t, net, ["10.97.0.7/24", "fd97::7/64"]);
    const it = wireMacvtap(t, pod, {
      networkName: "lan",
      annotations: { "podtap.io/host-access": "true" },
      attachment: { plugins: ["macvlan"], master: "h0" },
    });
    const host = openKernel(net.host.path);
    t.after(() => host.close());
    const state = () => observe(host);
    const before = state();
    const journal = join(it.files.plan, "..", "host.jsonl");
    const plan = { version: 1 as const, vmi: { namespace: "", name: "", uid: "" }, nics: [it.nic] };
    const guest = await it.startGuest();
    assert.equal((await udhcpc(guest))?.["ip"], "10.97.0.7");
    await guest.read("ip", "address", "add", "fd97::7/64", "dev", "eth0", "nodad");
    await listen(t, guest, "guest", "tcp", 80);
    await listen(t, net.host, "host", "tcp", 81);
    await listen(t, net.host, "host", "tcp", 82);
    assert.equal(await ask(net.host, "10.97.0.7", "tcp", 80), "silence");
    const overheard = await overhear(t, net.lan, "lan");
    // A daemon that is killed before the host's second step; the next one begins by taking the first back.
    let steps = 0;
    const dying: Kernel = {
      ...host,
      run: (...more) => {
        steps += 1;
        if (steps > 1) throw new Error("killed");
        host.run(...more);
      },
    };
    assert.throws(() => linkHost(dying, plan, journal), /killed/);
    for (let i = 0; i < 2; i++) linkHost(host, plan, journal);
    assert.equal(await answer(net.host, "10.97.0.7", "tcp", 80), "guest 10.97.0.1");
    assert.equal(await answer(net.host, "fd97::7", "tcp", 80), "guest fd97::1");
    await guest.read("ip", "neigh", "flush", "all");
    assert.equal(await answer(guest, "10.97.0.1", "tcp", 81), "host 10.97.0.7");
    assert.equal(await answer(guest, "fd97::1", "tcp", 81), "host fd97::7");
    assert.equal(await answer(net.lan, "10.97.0.1", "tcp", 82), "host 10.97.0.9");
    assert.equal(await answer(net.lan, "10.97.0.7", "tcp", 80), "guest 10.97.0.9");
    const link = host.readLinks().find(({ name }) => name === it.nic.hostLink?.name);
    assert.ok(link?.mac);
    await assertQuiet(overheard, it);
    assert.ok(!overheard.text().includes(link.mac), "the host's link was heard on the LAN");
    assert.deepEqual(unlinkHost(host, journal), []);
    assert.deepEqual(state(), before);
    assert.equal(await ask(net.host, "10.97.0.7", "tcp", 80), "silence");
  },
);

interface Ear {
  text(): string;
}

async function overhear(
  scope: { after(fn: () => unknown): void },
  place: TestPod,
  link: string,
): Promise<Ear> {
  const ear = listenTo(scope, place, "tcpdump", ["--immediate-mode", "-lnne", "-i", link]);
  await eventually("tcpdump listens", () => ear.text().includes("listening on") || undefined);
  return ear;
}

/** Of the guest nothing but its traffic, of podtap's own links nothing at all. */
async function assertQuiet(ear: Ear, { kernel, nic }: MacvtapPod): Promise<void> {
  const own = [...kernel.readLinks().map((link) => link.mac), nic.mac];
  const from = (mac: string | undefined): readonly string[] =>
    ear
      .text()
      .split("\n")
      .filter((line) => line.includes(` ${mac} > `));
  // Else the ear does not work.
  await eventually("a frame of the guest's", () => from(nic.mac).length > 0 || undefined);
  assert.doesNotMatch(from(nic.mac).join("\n"), /BOOTP|dhcp6|router (solicit|advert)/i);
  for (const mac of own.filter((other) => other !== nic.mac)) assert.deepEqual(from(mac), []);
}

/** The LAN's own server, on 10.97.0.9. */
function dhcpServer(scope: { after(fn: () => unknown): void }, place: TestPod): Ear {
  const folder = mkdtempSync(join(tmpdir(), "podtap-udhcpd-"));
  scope.after(() => rmSync(folder, { recursive: true }));
  const lines = [
    "start 10.97.0.50",
    "end 10.97.0.60",
    "interface lan",
    `lease_file ${folder}/leases`,
    "option subnet 255.255.255.0",
  ];
  writeFileSync(`${folder}/leases`, "");
  writeFileSync(`${folder}/conf`, `${lines.join("\n")}\n`);
  return listenTo(scope, place, "busybox", ["udhcpd", "-f", "-a", "1", `${folder}/conf`]);
}

function listenTo(
  scope: { after(fn: () => unknown): void },
  place: TestPod,
  program: string,
  args: readonly string[],
): Ear {
  const child: ChildProcess = spawn("ip", ["netns", "exec", place.name, program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (data: Buffer) => {
      said += data.toString();
    });
  }
  scope.after(() => child.kill("SIGKILL"));
  return { text: () => said };
}
