/** bridge and managed-tap, with packets: the guest in the pod's place, reached as the pod was, and nobody else. */
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import type { InterfaceSpec, Vmi } from "../../src/api/types.ts";
import { previewPod, unwirePod } from "../../src/apply/wire-pod.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import type { GuestService } from "../../src/guest/config.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import { guestServices } from "../../src/vm/guest-services.ts";
import { advertise, advertiseTo, ROUTER } from "../support/advertise.ts";
import { type VmiParts, vmi } from "../support/builders.ts";
import { hookScript, startClient } from "../support/client.ts";
import { guestFrames, networkFrames } from "../support/frames.ts";
import { dhcp4Config, routerAdvertConfig } from "../support/guest-configs.ts";
import { frameSocket, judgeFrames } from "../support/judge-frames.ts";
import { dhclient6, udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires, type TestPod } from "../support/netns.ts";
import { answer, ask, listen } from "../support/talk.ts";
import { watchFrames } from "../support/watch.ts";
import {
  HOST_IP,
  OTHER,
  POD,
  type PodOptions,
  type Scope,
  type WiredPod,
  wiredPod,
} from "../support/wired-pod.ts";

const families = ["v4", "v6"] as const;
const NEEDS = requires("root", "nft", "udhcpc", "dhclient");
const ADDRESSING =
  "udp port 67 or udp port 68 or udp port 546 or udp port 547 or icmp6 and ip6[40] >= 133 and ip6[40] <= 134";
const FOREIGN_MAC = "02:00:00:00:f0:01" as Mac;

type Spelling = Partial<InterfaceSpec>;
const BRIDGE: Spelling = { bridge: {} };
const MANAGED_TAP: Spelling = { binding: { name: "managed-tap" } };

describe("bridge, dual stack", NEEDS, () => {
  const scope = shared();
  let it: WiredPod;
  let outside: Awaited<ReturnType<typeof watchFrames>>;
  before(async () => {
    it = await bridged(scope, BRIDGE);
    outside = await watchFrames(scope, it.host.name, "v0", ADDRESSING);
    await addressed(it);
    await listen(scope, it.guest, "guest", "tcp", 22);
    await listen(scope, it.guest, "guest", "udp", 40_000);
    for (const protocol of ["tcp", "udp"] as const)
      await listen(scope, it.neighbour, "neighbour", protocol, 8080);
    await listen(scope, it.pod, "pod", "tcp", 9000);
  });
  after(() => scope.undo());

  test("DHCP gives what CNI gave the pod, and tells who took it", async () => {
    const lease = await udhcpc(it.guest);
    assert.ok(lease);
    const picked = ["ip", "mask", "router", "dns", "search", "mtu", "hostname", "lease", "serverid"];
    assert.deepEqual(Object.fromEntries(picked.map((name) => [name, lease[name]])), {
      ip: POD.v4,
      mask: "24",
      router: HOST_IP.v4,
      dns: HOST_IP.v4,
      search: "test.example",
      mtu: "1500",
      hostname: "web",
      lease: "86313600",
      serverid: "169.254.75.10",
    });
    assert.deepEqual(
      new Set(it.leases.map(({ via, ip, mac }) => `${via} ${ip} ${mac}`)),
      new Set([`dhcp4 ${POD.v4} ${it.nic.mac}`, `dhcp6 ${POD.v6} ${it.nic.mac}`]),
    );
  });

  test("IPv6: the network's own router, its prefix on the link, no address of the guest's making", async () => {
    const router = linkLocalIn(it.host.run("ip", "-6", "address", "show", "dev", "br0"));
    assert.match(await it.guest.read("ip", "-6", "route", "show", "default"), new RegExp(`via ${router} `));
    assert.match(
      await it.guest.read("ip", "-6", "route", "show", "fd99::/64"),
      /expires/,
      "told by the advertisement",
    );
    const global = await it.guest.read("ip", "-6", "address", "show", "dev", "eth0", "scope", "global");
    assert.deepEqual(global.match(/inet6 \S+/g), [`inet6 ${POD.v6}/128`]);
  });

  for (const family of families) {
    test(`${family}: the guest reaches out as the pod`, async () => {
      for (const protocol of ["tcp", "udp"] as const)
        assert.equal(await answer(it.guest, OTHER[family], protocol, 8080), `neighbour ${POD[family]}`);
      await it.guest.read("ping", "-c1", "-W2", OTHER[family]);
      await it.guest.read("ping", "-c1", "-W2", HOST_IP[family]);
    });

    test(`${family}: the guest is reached on any port, and sees who asks`, async () => {
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 22), `guest ${OTHER[family]}`);
      assert.equal(await answer(it.host, POD[family], "udp", 40_000), `guest ${HOST_IP[family]}`);
      assert.equal(await answer(it.host, POD[family], "tcp", 23), "refused", "by the guest itself");
      assert.equal(
        await answer(it.host, POD[family], "tcp", 9000),
        "refused",
        "by the guest: the pod is not there",
      );
      it.neighbour.run("ping", "-c1", "-W2", POD[family]);
    });

    test(`${family}: neighbours find the guest's MAC, also while it is silent`, async () => {
      assert.equal(macSeen(it, family), it.nic.mac);
      await it.guest.read("ip", "link", "set", "eth0", "down");
      assert.equal(macSeen(it, family), it.nic.mac);
      await it.guest.read("ip", "link", "set", "eth0", "up");
      await addressed(it);
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 22), `guest ${OTHER[family]}`);
    });
  }

  test("a lease is renewed by unicast, to a server that only the tap knows", async (t) => {
    const client = startClient(t, asPod(it), "udhcpc", "-f", "-i", "eth0", "-s", hookScript(t));
    await eventually("udhcpc is bound", () => client.event("bound"));
    const asked = it.counter("asked_inside");
    client.process.kill("SIGUSR1");
    const renewed = await eventually("udhcpc has renewed", () => client.event("renew"));
    assert.equal(renewed.get("ip"), POD.v4);
    assert.ok(it.counter("asked_inside") > asked);
  });

  test("the pod's stack neither hears nor speaks", async () => {
    const own = it.plan.nics[0]?.links.find(({ type }) => type === "bridge");
    assert.ok(own?.type === "bridge" && own.mac !== undefined);
    const spoken = await watchFrames(scope, it.host.name, "v0", `ether src ${own.mac}`);
    const address = "169.254.75.10";
    it.neighbour.run("ip", "route", "add", `${address}/32`, "dev", "eth0");
    assert.equal(await ask(it.neighbour, address, "tcp", 9000), "silence", "nobody answers ARP");
    it.neighbour.run("ip", "neigh", "replace", address, "lladdr", own.mac, "dev", "eth0", "nud", "permanent");
    assert.equal(await ask(it.neighbour, address, "tcp", 9000), "silence");
    it.neighbour.run("ip", "neigh", "replace", POD.v4, "lladdr", own.mac, "dev", "eth0", "nud", "permanent");
    assert.equal(await ask(it.neighbour, POD.v4, "tcp", 9000), "silence", "the parked address");
    it.neighbour.run("ip", "neigh", "del", POD.v4, "dev", "eth0");
    assert.throws(() => it.pod.run("ping", "-c1", "-W1", HOST_IP.v4));
    assert.deepEqual(spoken.lines(), []);
  });

  test("a foreign DHCP server and router are not heard, and counted", async (t) => {
    const before = it.counter("foreign_dhcp");
    serveForeign(t, it);
    const routes = async () =>
      (await it.guest.read("ip", "-6", "route", "show", "default")).replaceAll(/ expires \d+sec/g, "");
    const router = await routes();
    const offer = [
      "-u",
      "STDIN",
      "UDP4-SENDTO:255.255.255.255:68,sourceport=67,broadcast,so-bindtodevice=eth0",
    ];
    it.neighbour.run("sh", "-c", `echo offer | socat ${offer.join(" ")}`);
    await eventually("advertisement and offer are counted", () => it.counter("foreign_dhcp") >= before + 2);
    const lease = await udhcpc(it.guest);
    assert.equal(lease?.["ip"], POD.v4);
    assert.equal(await routes(), router);
    assert.equal(await it.guest.read("ip", "-6", "address", "show", "dev", "eth0", "to", "fdbe::/16"), "");
  });

  test("of all the guest's DHCP and router discovery nothing was on the network", () => {
    // What the foreign server said is not the guest's.
    const guests = outside
      .lines()
      .filter((line) => line.includes(it.nic.mac) && !line.includes(`${FOREIGN_MAC} >`));
    assert.deepEqual(guests, []);
    assert.ok(it.counter("asked_inside") > 0);
  });

  test("every forged frame is dropped and counted by kind, every honest one passes", async (t) => {
    const links = await it.guest.read("ip", "-6", "address", "show", "dev", "eth0", "scope", "link");
    const parties = {
      guest: { mac: it.nic.mac, v4: POD.v4 as Ip, v6: POD.v6 as Ip, linkLocal: linkLocalIn(links) },
      other: { mac: macOf(it.neighbour), v4: OTHER.v4 as Ip, v6: OTHER.v6 as Ip },
      router: linkLocalIn(it.host.run("ip", "-6", "address", "show", "dev", "br0")),
    };
    const inside = frameSocket(t, it.guest.netns, it.guest.nic);
    const network = frameSocket(t, it.neighbour.name, "eth0");
    await judgeFrames(it, guestFrames(parties), inside, network);
    await judgeFrames(it, networkFrames(parties), network, inside);
  });

  test("after all that nothing has drifted", () => assert.deepEqual(drift(it), []));
});

for (const [stack, there, missing] of [
  ["v4", "v4", "v6"],
  ["v6", "v6", "v4"],
] as const) {
  test(`bridge, ${stack} only: the guest has what the pod has`, NEEDS, async (t) => {
    const it = await bridged(t, BRIDGE, { stack });
    await addressed(it);
    await listen(t, it.guest, "guest", "tcp", 80);
    assert.equal(await answer(it.neighbour, POD[there], "tcp", 80), `guest ${OTHER[there]}`);
    await it.guest.read("ping", "-c1", "-W2", HOST_IP[there]);
    const other = missing === "v4" ? "-4" : "-6";
    assert.equal(await it.guest.read("ip", other, "address", "show", "dev", "eth0", "scope", "global"), "");
    assert.deepEqual(drift(it), []);
  });
}

test("bridge: dhcpcd takes both families", requires("root", "nft", "dhcpcd"), async (t) => {
  const it = await bridged(t, BRIDGE);
  const client = startClient(t, asPod(it), "dhcpcd", "-B", "-f", "/dev/null", "-c", hookScript(t), "eth0");
  const v4 = await eventually("dhcpcd is bound", () => client.event("BOUND"), 20_000);
  assert.equal(v4.get("new_ip_address"), POD.v4);
  const v6 = await eventually("dhcpcd is bound by DHCPv6", () => client.event("BOUND6"), 20_000);
  assert.equal(v6.get("new_dhcp6_ia_na1_ia_addr1"), POD.v6);
});

test("bridge: while no guest is there yet, neighbours find its MAC", NEEDS, async (t) => {
  const it = await bridged(t, BRIDGE);
  await it.guest.stop();
  for (const family of families) assert.equal(macSeen(it, family), it.nic.mac);
});

for (const eth0 of ["0", "1"]) {
  const what = `accept_dad is ${eth0} for the pod NIC, 0 for links to come`;
  test(
    `bridge: nobody has its address proven (${what}): the bridge answers all the same`,
    NEEDS,
    async (t) => {
      const keys = { default: "0", all: "0", eth0 };
      const it = await bridged(t, BRIDGE, {
        prepare: ({ pod }) => {
          for (const [link, value] of Object.entries(keys))
            pod.run("sysctl", "-qw", `net.ipv6.conf.${link}.accept_dad=${value}`);
          pod.run("sysctl", "-qw", "net.ipv6.conf.default.dad_transmits=0");
        },
      });
      await it.guest.stop();
      for (const family of families) assert.equal(macSeen(it, family), it.nic.mac);
      assert.deepEqual(drift(it), []);
      assert.deepEqual(unwirePod(it.kernel, it.files), []);
      for (const [link, value] of Object.entries(keys))
        assert.equal(it.pod.run("sysctl", "-n", `net.ipv6.conf.${link}.accept_dad`).trim(), value);
    },
  );
}

for (const mtu of [1400, 1500, 9000]) {
  test(`bridge: MTU ${mtu} of the pod NIC is the guest's, and large transfers pass`, NEEDS, async (t) => {
    const it = await bridged(t, BRIDGE, { mtu });
    const lease = await addressed(it);
    assert.equal(lease?.["mtu"], String(mtu));
    assert.equal(it.nic.domain.mtu, mtu);
    for (const link of ["eth0-nic", "k6t-eth0", "tap0", "eth0"])
      assert.match(it.pod.run("ip", "link", "show", link), new RegExp(`mtu ${mtu} `));
    for (const family of families) {
      const room = mtu - (family === "v4" ? 28 : 48);
      const ping = (size: number) =>
        it.guest.exec("ping", ["-c1", "-W1", "-M", "do", "-s", String(size), OTHER[family]]);
      assert.equal((await ping(room)).code, 0);
      assert.notEqual((await ping(room + 1)).code, 0);
      assert.equal(await received(t, it, family), LARGE);
    }
  });
}

test("bridge: a gateway outside the subnet, as Calico has it", NEEDS, async (t) => {
  const it = await bridged(t, BRIDGE, {
    stack: "none",
    prepare: ({ host, pod }) => {
      host.run("sysctl", "-qw", "net.ipv4.conf.br0.proxy_arp=1", "net.ipv4.ip_forward=1");
      // A host answers by proxy for what it reaches by another link.
      host.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "away");
      host.run("ip", "link", "set", "uplink", "up");
      host.run("ip", "route", "add", "default", "dev", "uplink");
      pod.run("ip", "address", "add", `${POD.v4}/32`, "dev", "eth0");
      pod.run("ip", "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link");
      pod.run("ip", "route", "add", "default", "via", "169.254.1.1");
      pod.run("ping", "-c1", "-W2", HOST_IP.v4);
    },
  });
  const lease = await udhcpc(it.guest);
  assert.equal(lease?.["staticroutes"], "169.254.1.1/32 0.0.0.0 0.0.0.0/0 169.254.1.1");
  await it.guest.read("ping", "-c1", "-W2", HOST_IP.v4);
  it.host.run("ping", "-c1", "-W2", POD.v4);
});

test("bridge: a gateway that only CNI's neighbour entry makes reachable, as AWS has it", NEEDS, async (t) => {
  const it = await bridged(t, BRIDGE, {
    stack: "none",
    prepare: ({ host, pod }) => {
      const mac = host.run("cat", "/sys/class/net/br0/address").trim();
      host.run("ip", "route", "add", POD.v4, "dev", "br0");
      pod.run("ip", "address", "add", `${POD.v4}/32`, "dev", "eth0");
      pod.run("ip", "neigh", "add", "169.254.1.1", "lladdr", mac, "dev", "eth0", "nud", "permanent");
      pod.run("ip", "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link");
      pod.run("ip", "route", "add", "default", "via", "169.254.1.1");
      pod.run("ping", "-c1", "-W2", HOST_IP.v4);
    },
  });
  await udhcpc(it.guest);
  await it.guest.read("ping", "-c1", "-W2", HOST_IP.v4);
});

test(
  "bridge: an IPv6 router whose link-local address nobody knows stays the guest's router",
  NEEDS,
  async (t) => {
    const it = await bridged(t, BRIDGE, {
      stack: "v6",
      prepare: ({ host }) => {
        host.run("ip", "address", "flush", "dev", "br0", "scope", "link");
        host.run("ip", "address", "add", "fe80::cafe/64", "dev", "br0", "nodad");
      },
    });
    await addressed(it);
    const route = await it.guest.read("ip", "-6", "route", "show", "default");
    const router = /via (\S+)/.exec(route)?.[1] ?? "";
    const mac = it.host.run("cat", "/sys/class/net/br0/address").trim();
    await it.guest.read("ping", "-c1", "-W2", "-I", POD.v6, HOST_IP.v6);
    for (const ask of ["probe", "incomplete"]) {
      if (ask === "probe")
        await it.guest.read("ip", "neigh", "replace", router, "lladdr", mac, "dev", "eth0", "nud", ask);
      else await it.guest.read("ip", "neigh", "flush", "dev", "eth0");
      await it.guest.exec("ping", ["-c1", "-W1", `${router}%eth0`]);
      await eventually(`the router is confirmed (${ask})`, async () =>
        /REACHABLE/.test(await it.guest.read("ip", "neigh", "show", router, "dev", "eth0")),
      );
      assert.equal(
        await it.guest
          .read("ip", "-6", "route", "show", "default", "proto", "ra")
          .then((text) => text.includes(router)),
        true,
      );
    }
  },
);

for (const [name, spelling, annotations] of [
  ["bridge with dhcp: external", BRIDGE, { "podtap.io/dhcp": "external" }],
  ["managed-tap", MANAGED_TAP, {}],
] as const) {
  test(
    `${name}: the network's own servers are heard, under any address the guest speaks`,
    NEEDS,
    async (t) => {
      const it = await bridged(t, spelling, {}, { annotations });
      assert.deepEqual(it.nic.services, []);
      serveForeign(t, it);
      const lease = await udhcpc(it.guest);
      assert.equal(lease?.["ip"], "10.99.0.77");
      await eventually("the foreign router", async () =>
        (await it.guest.read("ip", "-6", "route", "show", "default")).includes("fe80::f0:1"),
      );
      await it.guest.read("ping", "-c1", "-W2", OTHER.v4);
      it.neighbour.run("ping", "-c1", "-W2", "10.99.0.77");
      await it.guest.exec("sh", [
        "-c",
        "echo offer | socat -u STDIN UDP4-SENDTO:255.255.255.255:68,sourceport=67,broadcast",
      ]);
      await eventually("the guest itself is no server", () => it.counter("spoofed_router") > 0);
      assert.deepEqual(drift(it), []);
    },
  );
}

test("bridge without IPAM: a wire, under the guest's MAC only", NEEDS, async (t) => {
  const it = await bridged(t, BRIDGE, { stack: "none" });
  assert.deepEqual(it.nic.services, []);
  await it.guest.read("ip", "address", "add", "10.99.0.50/24", "dev", "eth0");
  it.neighbour.run("ping", "-c1", "-W2", "10.99.0.50");
  await it.guest.read("ip", "link", "add", "forged", "link", "eth0", "type", "macvlan", "mode", "bridge");
  await it.guest.read("ip", "address", "add", "10.99.0.51/24", "dev", "forged");
  await it.guest.read("ip", "link", "set", "forged", "up");
  assert.notEqual((await it.guest.exec("ping", ["-c1", "-W1", "-I", "forged", OTHER.v4])).code, 0);
  await eventually("the foreign MAC is counted", () => it.counter("spoofed_mac") > 0);
  assert.deepEqual(drift(it), []);
});

for (const [name, spelling] of [
  ["bridge", BRIDGE],
  ["managed-tap", MANAGED_TAP],
] as const) {
  test(
    `${name} without IPAM: what the pod heard of the network's router is neither handed over nor kept`,
    NEEDS,
    async (t) => {
      const it = await bridged(t, spelling, {
        stack: "none",
        prepare: ({ pod, neighbour }) => advertiseTo(pod, neighbour, "eth0"),
      });
      assert.deepEqual([it.nic.services, it.nic.addresses], [[], { pod: [], guest: [] }]);
      assert.deepEqual(drift(it), []);
      assert.equal(it.pod.run("ip", "-6", "address", "show", "to", `${ROUTER.prefix}/64`), "");
      advertise(it.neighbour, "eth0");
      await eventually("the guest hears the router itself", async () =>
        (await it.guest.read("ip", "-6", "route", "show", "default")).includes(ROUTER.linkLocal),
      );
      assert.deepEqual(drift(it), []);
      await it.guest.stop();
      assert.deepEqual(unwirePod(it.kernel, it.files), []);
      // Nothing that would outlive the router; the kernel learns it anew.
      assert.equal(it.pod.run("ip", "-6", "route", "show", "default"), "");
      assert.equal(it.pod.run("ip", "-6", "address", "show", "to", `${ROUTER.prefix}/64`), "");
    },
  );
}

test(
  "bridge: an address by CNI, and a router that only the pod heard: the guest is told of it",
  NEEDS,
  async (t) => {
    const it = await bridged(t, BRIDGE, {
      stack: "none",
      prepare: ({ pod, neighbour }) => {
        pod.run("ip", "address", "add", `${POD.v6}/64`, "dev", "eth0", "nodad");
        advertiseTo(pod, neighbour, "eth0");
      },
    });
    assert.deepEqual(it.nic.addresses, { pod: [POD.v6], guest: [POD.v6] });
    await addressed(it);
    assert.match(await it.guest.read("ip", "-6", "route", "show", "default"), new RegExp(ROUTER.linkLocal));
    assert.deepEqual(drift(it), []);
  },
);

test("bridge: torn down, the pod is CNI's again and speaks for itself", NEEDS, async (t) => {
  let pristine = "";
  const read = (pod: TestPod): string =>
    ["address show dev eth0", "-4 route", "-6 route show dev eth0"]
      .map((command) =>
        pod
          .run("ip", ...command.split(" "))
          .replaceAll(
            / (metric|hoplimit|pref|brd) \S+| (tentative|nodad)| proto kernel_ll|valid_lft .*|qlen \d+/g,
            "",
          ),
      )
      .join("");
  const it = await bridged(t, BRIDGE, {
    prepare: ({ pod }) => {
      pristine = read(pod);
    },
  });
  await addressed(it);
  await it.guest.stop();
  assert.deepEqual(unwirePod(it.kernel, it.files), []);
  assert.equal(read(it.pod), pristine);
  for (const family of families) it.pod.run("ping", "-c1", "-W2", HOST_IP[family]);
  assert.equal(it.pod.run("nft", "list", "ruleset"), "");
  assert.match(it.pod.run("sysctl", "net.ipv4.conf.all.arp_ignore"), /= 0$/m);
});

async function bridged(
  t: Scope,
  spelling: Spelling,
  options: PodOptions = {},
  parts: Pick<VmiParts, "annotations"> = {},
): Promise<WiredPod> {
  const interfaces = [{ name: "default", ...spelling }] as InterfaceSpec[];
  const spec: Vmi["spec"] = { domain: { devices: { interfaces } }, networks: [{ name: "default", pod: {} }] };
  return wiredPod(t, vmi({ ...parts, spec }), options);
}

/** By ordinary clients, whatever the plan serves. */
async function addressed(it: WiredPod): ReturnType<typeof udhcpc> {
  const serves = (type: GuestService["type"]) => it.nic.services.some((service) => service.type === type);
  const lease = serves("dhcp4") ? await udhcpc(it.guest) : undefined;
  if (serves("dhcp4")) assert.equal(lease?.["ip"], POD.v4);
  if (serves("dhcp6")) {
    await eventually("a link-local address", async () => {
      const text = await it.guest.read("ip", "-6", "address", "show", "dev", it.guest.nic, "scope", "link");
      return text.includes("fe80") && !text.includes("tentative");
    });
    await dhclient6(it.guest);
    await eventually("an IPv6 default route by router advertisement", async () =>
      (await it.guest.read("ip", "-6", "route", "show", "default")).includes("proto ra"),
    );
  }
  return lease;
}

function drift(it: WiredPod): readonly unknown[] {
  const preview = previewPod(it.kernel, it.input, it.files, registry);
  assert.ok(preview.ok);
  return preview.value.steps;
}

/** As the neighbour finds out anew. */
function macSeen({ neighbour }: WiredPod, family: (typeof families)[number]): string | undefined {
  neighbour.run("ip", "neigh", "flush", "dev", "eth0");
  neighbour.run("sh", "-c", `ping -c1 -W1 ${POD[family]} || true`);
  const seen = neighbour.run("ip", "neigh", "show", POD[family], "dev", "eth0");
  return /lladdr (\S+)/.exec(seen)?.[1];
}

const LARGE = 8_000_000;

/** How many of so many bytes arrive at the guest and back from it: there and back by one echo. */
async function received(t: TestContext, it: WiredPod, family: (typeof families)[number]): Promise<number> {
  const port = family === "v4" ? 7004 : 7006;
  const echo = it.guest.start("socat", [`TCP6-LISTEN:${port},ipv6only=0,reuseaddr`, "EXEC:cat"]);
  t.after(() => echo.kill("SIGKILL"));
  await eventually("the guest echoes", async () =>
    (await it.guest.read("ss", "-Hltn", `sport = :${port}`)) !== "" ? true : undefined,
  );
  const host = family === "v4" ? POD.v4 : `[${POD.v6}]`;
  const script = `head -c ${LARGE} /dev/zero | socat -t5 - TCP:${host}:${port} | wc -c`;
  return Number(it.neighbour.run("sh", "-c", script));
}

/** A DHCP server and a router in the neighbour, of another opinion. */
function serveForeign(t: TestContext, it: WiredPod): void {
  const descriptors = [openPacketSocket(it.neighbour.path)];
  const server = guestServices({
    port: packetPort,
    descriptors,
    clock: { now: Date.now },
    log: () => undefined,
  });
  t.after(() => {
    server.close();
    descriptors.forEach(closeSync);
  });
  const own = { serverMac: FOREIGN_MAC, serverIp: OTHER.v4 as Ip, router: OTHER.v4 as Ip };
  const prefixes = [{ prefix: "fdbe::/64" as Cidr, onLink: true, autonomous: true }];
  const router = { routerMac: FOREIGN_MAC, routerLinkLocal: "fe80::f0:1" as Ip, prefixes, mtu: 1500 };
  server.serve(
    [
      {
        type: "dhcp4",
        link: "eth0",
        config: dhcp4Config({ ...own, lease: "10.99.0.77/24" as Cidr, mtu: 1500 }),
      },
      { type: "router-advert", link: "eth0", config: routerAdvertConfig(router) },
    ],
    () => undefined,
  );
}

function linkLocalIn(text: string): Ip {
  return (/inet6 (fe80:\S+)\/64/.exec(text)?.[1] ?? "") as Ip;
}

function macOf(pod: TestPod): Mac {
  return pod.run("cat", "/sys/class/net/eth0/address").trim() as Mac;
}

/** For clients that run where a pod does. */
function asPod({ guest }: WiredPod): TestPod {
  return { name: guest.netns, path: `/run/netns/${guest.netns}`, run: () => "" };
}

/** Like a test's context, for what several tests share. */
function shared(): Scope & { undo(): Promise<void> } {
  const undo: (() => unknown)[] = [];
  return {
    after: (fn) => void undo.push(fn),
    undo: async () => {
      for (const fn of undo.toReversed()) await fn();
    },
  };
}
