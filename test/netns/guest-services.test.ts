/**
 * The serving loop at the guest's door against real clients: udhcpc, dhclient, dhcpcd, systemd-networkd, rdisc6, the
 * kernel itself and perfdhcp, each in a namespace where the guest would be.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ServerWord } from "../../bench/dhcp-server.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { BRIDGE_MAC } from "../../src/base/mac.ts";
import type { GuestService } from "../../src/guest/config.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { bindPacketSocket, ETH_P_ALL, openPacketSocket, sendFrame } from "../../src/linux/packet-socket.ts";
import { guestServices } from "../../src/vm/guest-services.ts";
import { capture } from "../support/captures.ts";
import { hookScript, runClient, startClient } from "../support/client.ts";
import {
  allServices,
  BRIDGE,
  dhcp4Config,
  dhcp6Config,
  GUEST_MAC,
  routerAdvertConfig,
} from "../support/guest-configs.ts";
import { buildDoor, GUEST_LINK, linkLocalReady, type ServedDoor, serveDoor } from "../support/guest-door.ts";
import { connect, eventually, requires } from "../support/netns.ts";

const ROOT = requires("root", "ip");
const SEARCH = "default.svc.cluster.local svc.cluster.local cluster.local";

function dhcp4(more: Parameters<typeof dhcp4Config>[0]): readonly GuestService[] {
  return [{ type: "dhcp4", link: BRIDGE, config: dhcp4Config(more) }];
}

function refusals(door: ServedDoor): Readonly<Record<string, number>> {
  return door.services.counters()[BRIDGE]?.refusals ?? {};
}

function picked(event: ReadonlyMap<string, string> | undefined, ...names: readonly string[]) {
  assert.ok(event !== undefined, "the client told no such event");
  return Object.fromEntries(names.map((name) => [name, event.get(name)]));
}

test(
  "udhcpc takes every option, renews by unicast and releases",
  requires("root", "ip", "udhcpc"),
  async (t) => {
    const door = serveDoor(
      t,
      dhcp4({
        ntpServers: ["10.1.2.3" as Ip],
        tftpServerName: "10.9.8.7",
        bootFileName: "pxelinux.0",
        routes: [{ destination: "10.9.0.0/16" as Cidr, gateway: "10.0.2.1" as Ip }],
        privateOptions: [{ option: 240, value: "podtap" }],
      }),
    );
    const wanted = ["mtu", "search", "ntpsrv", "staticroutes", "tftp", "bootfile"].flatMap((name) => [
      "-O",
      name,
    ]);
    const client = startClient(
      t,
      door.guest,
      "udhcpc",
      "-f",
      "-i",
      GUEST_LINK,
      "-s",
      hookScript(t),
      ...wanted,
    );
    const bound = await eventually("udhcpc is bound", () => client.event("bound"));
    assert.deepEqual(
      picked(
        bound,
        "ip",
        "mask",
        "router",
        "dns",
        "search",
        "domain",
        "mtu",
        "hostname",
        "ntpsrv",
        "broadcast",
        "lease",
      ),
      {
        ip: "10.0.2.2",
        mask: "24",
        router: "10.0.2.1",
        dns: "10.0.2.3 10.96.0.10",
        search: SEARCH,
        domain: "default.svc.cluster.local",
        mtu: "1450",
        hostname: "web",
        ntpsrv: "10.1.2.3",
        broadcast: "10.0.2.255",
        lease: "86313600",
      },
    );
    assert.deepEqual(picked(bound, "staticroutes", "tftp", "boot_file", "siaddr", "opt240"), {
      staticroutes: "10.9.0.0/16 10.0.2.1 0.0.0.0/0 10.0.2.1",
      tftp: "10.9.8.7",
      boot_file: "pxelinux.0",
      siaddr: "10.9.8.7",
      opt240: Buffer.from("podtap").toString("hex"),
    });
    assert.deepEqual(door.leases, [{ link: BRIDGE, mac: GUEST_MAC, ip: "10.0.2.2", via: "dhcp4" }]);

    client.process.kill("SIGUSR1");
    const renewed = await eventually("udhcpc has renewed", () => client.event("renew"));
    assert.equal(renewed.get("ip"), "10.0.2.2");
    client.process.kill("SIGUSR2");
    await eventually("the release is noted", () => door.log.some((line) => line.includes("released")));
  },
);

test(
  "dhclient that remembers an address of another network hears NAK and takes the right one",
  requires("root", "ip", "dhclient"),
  async (t) => {
    const door = serveDoor(t);
    const folder = mkdtempSync(join(tmpdir(), "pt-dhclient-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const leases = join(folder, "leases");
    const far = "4 2099/01/01 00:00:00";
    writeFileSync(
      leases,
      `lease { interface "${GUEST_LINK}"; fixed-address 192.168.1.5; option subnet-mask 255.255.255.0;
       option dhcp-server-identifier 192.168.1.1; option dhcp-lease-time 99999999;
       renew ${far}; rebind ${far}; expire ${far}; }\n`,
    );
    const files = ["-lf", leases, "-pf", join(folder, "pid")];
    const client = startClient(
      t,
      door.guest,
      "dhclient",
      "-4",
      "-d",
      "-v",
      ...files,
      "-sf",
      hookScript(t),
      GUEST_LINK,
    );
    const bound = await eventually("dhclient is bound", () => client.event("BOUND"), 15_000);
    assert.match(
      client.output(),
      /DHCPREQUEST for 192\.168\.1\.5[\s\S]*DHCPNAK from 10\.0\.2\.1[\s\S]*DHCPACK of 10\.0\.2\.2/,
    );
    assert.deepEqual(
      picked(
        bound,
        "new_ip_address",
        "new_routers",
        "new_domain_name_servers",
        "new_interface_mtu",
        "new_host_name",
      ),
      {
        new_ip_address: "10.0.2.2",
        new_routers: "10.0.2.1",
        new_domain_name_servers: "10.0.2.3 10.96.0.10",
        new_interface_mtu: "1450",
        new_host_name: "web",
      },
    );
  },
);

test(
  "dhclient -6 takes, confirms and releases its address, and asks for DNS only",
  requires("root", "ip", "dhclient"),
  async (t) => {
    const door = serveDoor(t);
    await linkLocalReady(door);
    const folder = mkdtempSync(join(tmpdir(), "pt-dhclient6-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const files = ["-lf", join(folder, "leases"), "-pf", join(folder, "pid"), "-sf", hookScript(t)];
    const first = startClient(t, door.guest, "dhclient", "-6", "-d", "-v", ...files, GUEST_LINK);
    const bound = await eventually("dhclient -6 is bound", () => first.event("BOUND6"), 15_000);
    assert.match(first.output(), /Advertisement immediately selected/);
    const dns = {
      new_dhcp6_name_servers: "fd10:0:2::3",
      new_dhcp6_domain_search: `${SEARCH.replaceAll(" ", ". ")}.`,
    };
    assert.deepEqual(picked(bound, "new_ip6_address", "new_max_life", ...Object.keys(dns)), {
      new_ip6_address: "fd10:0:2::2",
      new_max_life: "86313600",
      ...dns,
    });
    first.process.kill("SIGKILL");
    await first.ended;

    const second = startClient(t, door.guest, "dhclient", "-6", "-d", "-v", ...files, GUEST_LINK);
    await eventually(
      "the address is confirmed",
      () => /status code Success[\s\S]*Bound to lease/.test(second.output()),
      15_000,
    );
    second.process.kill("SIGKILL");
    await second.ended;

    await runClient(t, door.guest, "dhclient", "-6", "-r", ...files, GUEST_LINK);
    await eventually("the release is noted", () =>
      door.log.some((line) => line.includes("released fd10:0:2::2")),
    );
    const stateless = startClient(t, door.guest, "dhclient", "-6", "-S", "-d", "-v", ...files, GUEST_LINK);
    const told = await eventually("dhclient -S has DNS", () => stateless.event("RENEW6"), 15_000);
    assert.deepEqual(picked(told, ...Object.keys(dns)), dns);
    assert.deepEqual(refusals(door), {});
  },
);

test(
  "dhcpcd configures both families, with rapid commit and the default routes",
  requires("root", "ip", "dhcpcd"),
  async (t) => {
    const door = serveDoor(t);
    await linkLocalReady(door);
    const client = startClient(
      t,
      door.guest,
      "dhcpcd",
      "-B",
      "--noarp",
      "-o",
      "rapid_commit",
      "-c",
      hookScript(t),
      GUEST_LINK,
    );
    const bound = await eventually("dhcpcd has IPv4", () => client.event("BOUND"), 15_000);
    const bound6 = await eventually("dhcpcd has IPv6", () => client.event("BOUND6"), 15_000);
    assert.ok(bound.has("new_rapid_commit") && bound6.has("new_dhcp6_rapid_commit"));
    assert.deepEqual(picked(bound, "new_domain_search", "new_host_name", "new_interface_mtu"), {
      new_domain_search: SEARCH,
      new_host_name: "web",
      new_interface_mtu: "1450",
    });
    await eventually("the kernel has what dhcpcd was told", () => {
      const addresses = door.guest.run("ip", "-o", "address", "show", "dev", GUEST_LINK);
      return addresses.includes(" 10.0.2.2/24 ") && addresses.includes(" fd10:0:2::2/128 ");
    });
    assert.match(door.guest.run("ip", "route"), /^default via 10\.0\.2\.1 dev eth0/m);
    assert.match(door.guest.run("ip", "-6", "route"), /^default via fe80::1 dev eth0/m);
    assert.deepEqual(
      new Set(door.leases.map(({ via, ip }) => `${via} ${ip}`)),
      new Set(["dhcp4 10.0.2.2", "dhcp6 fd10:0:2::2"]),
    );
    // The neighbours that the guest was told of are there.
    door.guest.run("busybox", "ping", "-c", "1", "-W", "2", "10.0.2.1");
    door.guest.run("busybox", "ping", "-6", "-c", "1", "-W", "2", "fd10:0:2::1");
  },
);

const NETWORKD = "/lib/systemd/systemd-networkd";

test("systemd-networkd configures both families, MTU and DNS", {
  skip: ROOT.skip || (existsSync(NETWORKD) ? false : "needs systemd-networkd"),
}, async (t) => {
  const door = serveDoor(t);
  const network = `[Match]\\nName=${GUEST_LINK}\\n[Network]\\nDHCP=yes\\n[DHCPv4]\\nUseMTU=yes\\nUseDomains=yes\\n`;
  // A read-only /sys is how networkd knows that no udev will come.
  const script = `
      mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp
      chown -R systemd-network /run/systemd/netif
      mount --bind -o ro /sys /sys; mount -o remount,bind,ro /sys
      printf '${network}' > /run/systemd/network/10-guest.network
      ${NETWORKD} & trap 'kill -9 $!' EXIT
      while sleep 0.1; do cat /run/systemd/netif/leases/* /run/systemd/netif/links/*; echo @@round; done 2>/dev/null`;
  const client = startClient(t, door.guest, "bash", "-c", script);
  const state = await eventually(
    "networkd is configured",
    () =>
      client
        .output()
        .split("@@round")
        .findLast((round) => /ADMIN_STATE=configured[\s\S]*DNS=.*fd10/.test(round)),
    20_000,
  );
  for (const line of ["ADDRESS=10.0.2.2", "MTU=1450", "HOSTNAME=web", `DOMAIN_SEARCH_LIST=${SEARCH}`]) {
    assert.ok(state.includes(`${line}\n`), `${line} is not in ${state}`);
  }
  assert.match(state, /^DNS=10\.0\.2\.3 10\.96\.0\.10 fd10:0:2::3/m);
  const link = door.guest.run("ip", "address", "show", "dev", GUEST_LINK);
  assert.match(link, /mtu 1450 [\s\S]*inet 10\.0\.2\.2\/24 [\s\S]*inet6 fd10:0:2::2\/128 /);
  assert.match(door.guest.run("ip", "route"), /^default via 10\.0\.2\.1 dev eth0 proto dhcp/m);
  assert.match(door.guest.run("ip", "-6", "route"), /^default (nhid \d+ )?via fe80::1 dev eth0 proto ra/m);
  client.process.kill("SIGTERM");
});

test(
  "the kernel alone gets an address of its own, MTU and a way out by router advertisement",
  ROOT,
  async (t) => {
    const prefixes = [
      { prefix: "fd10:0:2::/120" as Cidr, onLink: true, autonomous: false },
      { prefix: "fd10:0:3::/64" as Cidr, onLink: false, autonomous: true },
    ];
    const door = serveDoor(t, [
      { type: "router-advert", link: BRIDGE, config: routerAdvertConfig({ prefixes }) },
    ]);
    // A guest that boots: its link comes up and it solicits.
    door.guest.run("ip", "link", "set", GUEST_LINK, "down");
    door.guest.run("ip", "link", "set", GUEST_LINK, "up");
    await eventually("the kernel has an address", () =>
      door.guest
        .run("ip", "-6", "address", "show", "dev", GUEST_LINK)
        .includes("fd10:0:3:0:5054:ff:fe12:3456/64"),
    );
    const routes = door.guest.run("ip", "-6", "route");
    assert.match(routes, /^default via fe80::1 dev eth0 proto ra .* mtu 1450 hoplimit 64/m);
    assert.match(routes, /^fd10:0:2::\/120 dev eth0 /m);
    assert.doesNotMatch(routes, /^fd10:0:3::\/64/m);
    assert.equal(door.guest.run("sysctl", "-n", `net.ipv6.conf.${GUEST_LINK}.mtu`).trim(), "1450");
    door.guest.run("busybox", "ping", "-6", "-c", "1", "-W", "2", "-I", GUEST_LINK, "fe80::1");
  },
);

test("rdisc6 reads all that the router says", ROOT, async (t) => {
  const door = serveDoor(t);
  await linkLocalReady(door);
  const text = (await runClient(t, door.guest, "rdisc6", "-1", GUEST_LINK)).output();
  for (const line of [
    /Stateful address conf\. +: +Yes/,
    /Stateful other conf\. +: +Yes/,
    /Router lifetime +: +9000/,
    /MTU +: +1450 bytes \(valid\)/,
    /Prefix +: fd10:0:2::\/120[\s\S]*On-link +: +Yes[\s\S]*Autonomous address conf\.: +No/,
    /Recursive DNS server +: fd10:0:2::3/,
    /DNS search list +: default\.svc\.cluster\.local cluster\.local/,
    /Source link-layer address: 02:00:00:00:00:00/,
    /from fe80::1/,
  ]) {
    assert.match(text, line);
  }
});

test("perfdhcp loses nothing in either family", ROOT, async (t) => {
  const door = serveDoor(t);
  await linkLocalReady(door);
  door.guest.run("ip", "address", "add", "10.0.2.2/24", "dev", GUEST_LINK);
  const load = ["-l", GUEST_LINK, "-r", "300", "-R", "20", "-n", "150", "-W", "1000000"];
  for (const family of [["-4", "-B"], ["-6"]]) {
    const client = await runClient(t, door.guest, "perfdhcp", ...family, ...load);
    const text = client.output();
    assert.equal(await client.ended, 0, text);
    // Every exchange that was begun, a few more than were asked for on a slow machine.
    const counts = [...text.matchAll(/^sent packets: (\d+)\nreceived packets: (\d+)$/gm)];
    assert.equal(counts.length, 2, text);
    for (const [, sent, received] of counts) assert.ok(Number(received) >= 150 && sent === received, text);
    assert.match(text, /Malformed packets: 0/);
  }
  const counters = door.services.counters()[BRIDGE];
  assert.equal(counters?.sendErrors, 0);
  assert.ok((counters?.received ?? 0) >= 600);
});

test(
  "without any right or capability the same loop serves the same lease",
  requires("root", "ip", "udhcpc"),
  async (t) => {
    const { pod, guest } = buildDoor(t);
    const fd = openPacketSocket(pod.path);
    const rights = ["--reuid=107", "--regid=107", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const entry = fileURLToPath(new URL("../../bench/dhcp-server.ts", import.meta.url));
    const command = [...rights, "--no-new-privs", process.execPath, entry];
    const server = spawn("setpriv", command, { stdio: ["ignore", "inherit", "inherit", fd, "ipc"] });
    closeSync(fd);
    const ended = new Promise((resolve) => server.once("exit", resolve));
    t.after(async () => {
      if (server.connected) server.disconnect();
      await ended;
    });
    const words: ServerWord[] = [];
    server.on("message", (word: ServerWord) => words.push(word));
    server.send({ serve: allServices() });
    await eventually("it serves", () => words.some((word) => "serving" in word));
    const client = await runClient(
      t,
      guest,
      "udhcpc",
      "-q",
      "-f",
      "-n",
      "-i",
      GUEST_LINK,
      "-s",
      hookScript(t),
    );
    assert.equal(client.event("bound")?.get("ip"), "10.0.2.2");
    await eventually("the lease is told", () => words.some((word) => "lease" in word));
  },
);

test("only requests of the guest reach the loop, untagged and whole", ROOT, async (t) => {
  const door = serveDoor(t, dhcp4({}));
  const fd = openPacketSocket(door.guest.path);
  t.after(() => closeSync(fd));
  bindPacketSocket(fd, packetPort.linkIndex(fd, GUEST_LINK), ETH_P_ALL);
  // The guest's own kernel solicits routers, too; it may have done so already.
  door.guest.run("sysctl", "-qw", `net.ipv6.conf.${GUEST_LINK}.disable_ipv6=1`);
  const before = await settledCounters(door);
  const changed = (name: string, ...changes: readonly (readonly [number, number])[]) => {
    const frame = capture(name);
    for (const [at, value] of changes) frame[at] = value;
    return frame;
  };
  const discover = capture("udhcpc-discover");
  const tagged = new Uint8Array(discover.length + 4);
  tagged.set(discover.subarray(0, 12));
  tagged.set([0x81, 0, 0, 5], 12);
  tagged.set(discover.subarray(12), 16);
  const unheard = [
    tagged,
    changed("udhcpc-discover", [20, 0x20]),
    changed("udhcpc-discover", [37, 53]),
    changed("udhcpc-discover", [23, 6]),
    changed("dhclient6-solicit", [57, 0x22]),
    changed("kernel-router-solicit", [54, 135]),
    new Uint8Array(64).fill(0xff),
  ];
  for (const frame of unheard) sendFrame(fd, frame);
  // What the host itself sends to the guest is not heard either.
  const fromHost = ["udhcpc", "-f", "-n", "-t", "1", "-T", "0", "-i", BRIDGE, "-s", "/bin/true"] as const;
  assert.throws(() => door.pod.run(...fromHost), /no lease, failing/);
  sendFrame(fd, capture("dhclient6-solicit"));
  sendFrame(fd, discover);
  await eventually("the DISCOVER is answered", () => door.services.counters()[BRIDGE]?.sent === 1);
  const { received, unclaimed } = countersOf(door);
  const heard = { received: received - before.received, unclaimed: unclaimed - before.unclaimed };
  assert.deepEqual(heard, { received: 2, unclaimed: 1 });
});

function countersOf(door: ServedDoor): { readonly received: number; readonly unclaimed: number } {
  const { received = 0, unclaimed = 0 } = door.services.counters()[BRIDGE] ?? {};
  return { received, unclaimed };
}

/** What is in the socket's queue is read before anything is counted. */
async function settledCounters(door: ServedDoor): Promise<ReturnType<typeof countersOf>> {
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  return countersOf(door);
}

test(
  "a guest that floods the door with rubbish is counted, and served when it asks",
  requires("root", "ip", "udhcpc"),
  async (t) => {
    const door = serveDoor(t);
    const fd = openPacketSocket(door.guest.path);
    t.after(() => closeSync(fd));
    bindPacketSocket(fd, packetPort.linkIndex(fd, GUEST_LINK), ETH_P_ALL);
    const rubbish = capture("udhcpc-discover");
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 100; i++) {
        rubbish.fill((round * 100 + i) & 0xff, 42 + (i % 300));
        sendFrame(fd, rubbish);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    const client = await runClient(
      t,
      door.guest,
      "udhcpc",
      "-q",
      "-f",
      "-n",
      "-i",
      GUEST_LINK,
      "-s",
      hookScript(t),
    );
    assert.equal(client.event("bound")?.get("ip"), "10.0.2.2");
    const refused = Object.values(refusals(door)).reduce((sum, count) => sum + count, 0);
    assert.ok(refused > 500, `${refused} frames were refused`);
  },
);

test(
  "each of two links is served by its own socket with its own address",
  requires("root", "ip", "udhcpc"),
  async (t) => {
    const second = { ...dhcp4Config(), serverIp: "10.0.3.1" as Ip, lease: "10.0.3.2/24" as Cidr };
    const { pod, guest } = buildDoor(t);
    const { pod: spare, guest: other } = buildDoor(t);
    // The second guest is moved to a second bridge of the first pod.
    spare.run("ip", "link", "del", "tap0");
    pod.run("ip", "link", "add", "k6t-net1", "address", BRIDGE_MAC, "type", "bridge");
    connect({ pod, link: "tap1", peer: other, peerLink: "eth1" });
    pod.run("ip", "link", "set", "tap1", "master", "k6t-net1");
    pod.run("ip", "link", "set", "k6t-net1", "up");
    const descriptors = [openPacketSocket(pod.path), openPacketSocket(pod.path)];
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
    const told: string[] = [];
    server.serve(
      [
        { type: "dhcp4", link: BRIDGE, config: dhcp4Config() },
        { type: "dhcp4", link: "k6t-net1", config: second },
      ],
      ({ link, ip }) => told.push(`${link} ${ip}`),
    );
    const hook = hookScript(t);
    const ask = (ns: typeof guest, link: string) =>
      runClient(t, ns, "udhcpc", "-q", "-f", "-n", "-i", link, "-s", hook);
    const [one, two] = await Promise.all([ask(guest, GUEST_LINK), ask(other, "eth1")]);
    assert.equal(one.event("bound")?.get("ip"), "10.0.2.2");
    assert.equal(two.event("bound")?.get("ip"), "10.0.3.2");
    assert.deepEqual(told.toSorted(), ["k6t-eth0 10.0.2.2", "k6t-net1 10.0.3.2"]);
    for (const counters of Object.values(server.counters())) assert.deepEqual(counters.refusals, {});
  },
);

test(
  "after its link was down and up again the door is served as before",
  requires("root", "ip", "udhcpc"),
  async (t) => {
    const door = serveDoor(t);
    door.pod.run("ip", "link", "set", BRIDGE, "down");
    await eventually("the loop has seen it", () => (door.services.counters()[BRIDGE]?.socketErrors ?? 0) > 0);
    door.pod.run("ip", "link", "set", BRIDGE, "up");
    const client = await runClient(
      t,
      door.guest,
      "udhcpc",
      "-q",
      "-f",
      "-n",
      "-i",
      GUEST_LINK,
      "-s",
      hookScript(t),
    );
    assert.equal(client.event("bound")?.get("ip"), "10.0.2.2");
  },
);

test("services that cannot be had are refused by name", ROOT, (t) => {
  const { pod } = buildDoor(t);
  const fd = openPacketSocket(pod.path);
  t.after(() => closeSync(fd));
  const server = guestServices({
    port: packetPort,
    descriptors: [fd],
    clock: { now: Date.now },
    log: () => undefined,
  });
  t.after(() => server.close());
  const none = () => undefined;
  assert.throws(
    () => server.serve([{ type: "dhcp4", link: "k6t-none", config: dhcp4Config() }], none),
    /cannot find the link k6t-none: .*ENODEV/,
  );
  assert.throws(
    () => server.serve([...allServices(), { type: "dhcp6", link: "k6t-two", config: dhcp6Config() }], none),
    { code: "PT-GUEST-1" },
  );
  server.serve(allServices(), none);
  assert.deepEqual(Object.keys(server.counters()), [BRIDGE]);
});
