/**
 * What the engine may expect of a Kernel. Run on the fake (kernel-fake.test.ts) and on a real namespace as root
 * (test/netns/kernel.test.ts), so that the fake cannot drift.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Kernel } from "../../src/apply/ports.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import { BRIDGE_MAC, type Mac } from "../../src/base/mac.ts";
import { LINK_MARK } from "../../src/base/names.ts";
import type { NftTable } from "../../src/nft/model.ts";
import { type HostFeatures, TYPICAL_FEATURES } from "../../src/plan/host-features.ts";
import type { ObservedLink, ObservedRoute } from "../../src/plan/observed.ts";
import { redirectDigest } from "../../src/plan/redirect-digest.ts";
import type { Step } from "../../src/plan/step.ts";

/** What CNI left in the namespace before each case: the link `eth0`, up, not podtap's. */
export const POD_NIC = {
  name: "eth0",
  type: "veth",
  peerElsewhere: true as const,
  mac: "0a:58:0a:f4:00:05" as Mac,
  mtu: 1450,
  addresses: ["10.244.0.5/24" as Cidr, "fd00:10:244::5/64" as Cidr],
  gateways: ["10.244.0.1" as Ip, "fd00:10:244::1" as Ip],
};

export interface ContractOptions {
  /** Precedes every test's name. */
  readonly label: string;
  /** Of the kernel under test; what it lacks is expected to be refused. */
  readonly features?: HostFeatures;
  readonly skip?: string | false;
  open(t: TestContext): Kernel;
}

export function kernelContract({
  label,
  skip = false,
  features = TYPICAL_FEATURES,
  open,
}: ContractOptions): void {
  const contract = (name: string, body: (kernel: Kernel) => void): void => {
    test(`${label}: ${name}`, { skip }, (t) => body(open(t)));
  };

  contract("a pod's links, addresses and routes are read as they are", (kernel) => {
    const lo = linkOf(kernel, "lo");
    assert.equal(lo.index, 1);
    assert.equal(lo.mtu, 65536);
    assert.ok(lo.up);
    assert.ok(lo.addresses.includes("127.0.0.1/8" as Cidr));
    const nic = linkOf(kernel, "eth0");
    assert.equal(nic.type, "veth");
    assert.equal(nic.peerElsewhere, true);
    assert.equal(nic.mac, POD_NIC.mac);
    assert.equal(nic.mtu, POD_NIC.mtu);
    assert.ok(nic.up);
    assert.equal(nic.alias, undefined);
    assert.equal(nic.master, undefined);
    assert.deepEqual(plannedAddresses(nic), POD_NIC.addresses);
    const routes = kernel.readRoutes().filter(({ link }) => link === "eth0");
    const find = (destination: string) => routes.find((route) => route.destination === destination);
    assert.equal(find("0.0.0.0/0")?.gateway, "10.244.0.1");
    assert.equal(find("::/0")?.gateway, "fd00:10:244::1");
    assert.ok(find("10.244.0.0/24"));
    assert.equal(find("10.244.0.0/24")?.gateway, undefined);
    assert.ok(find("fd00:10:244::/64"));
  });

  contract("a bridge is made with our mark, and once", (kernel) => {
    kernel.run(bridge);
    const made = linkOf(kernel, "k6t-eth0");
    assert.deepEqual(
      { type: made.type, mac: made.mac, mtu: made.mtu, alias: made.alias, up: made.up },
      { type: "bridge", mac: BRIDGE_MAC, mtu: 1450, alias: LINK_MARK, up: false },
    );
    kernel.run({ ...bridge, mtu: 1400 });
    assert.equal(linkOf(kernel, "k6t-eth0").index, made.index);
    assert.equal(linkOf(kernel, "k6t-eth0").mtu, 1400);
  });

  contract("a bridge without a wanted MAC gets one", (kernel) => {
    kernel.run({ op: "bridge.add", name: "br1", mtu: 1500 });
    assert.match(linkOf(kernel, "br1").mac ?? "", /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  });

  contract("a tap is made with our mark, its owner and queue mode, and once", (kernel) => {
    kernel.run(tap);
    const made = linkOf(kernel, "tap0");
    assert.deepEqual(
      { type: made.type, mtu: made.mtu, alias: made.alias, tap: made.tap, up: made.up },
      { type: "tun", mtu: 1450, alias: LINK_MARK, tap: { uid: 107, multiQueue: false }, up: false },
    );
    kernel.run({ ...tap, mtu: 1300 });
    assert.equal(linkOf(kernel, "tap0").index, made.index);
    assert.equal(linkOf(kernel, "tap0").mtu, 1300);
    kernel.run({ ...tap, name: "tap1", multiQueue: true, uid: 0 });
    assert.deepEqual(linkOf(kernel, "tap1").tap, { uid: 0, multiQueue: true });
  });

  contract("owner and queue mode of a tap are fixed", (kernel) => {
    kernel.run(tap);
    refused(kernel, { ...tap, uid: 108 }, "PT-KERNEL-17");
    refused(kernel, { ...tap, multiQueue: true }, "PT-KERNEL-17");
    assert.deepEqual(linkOf(kernel, "tap0").tap, { uid: 107, multiQueue: false });
  });

  contract("a foreign link is neither taken over nor deleted", (kernel) => {
    const before = kernel.readLinks();
    refused(kernel, { ...bridge, name: "eth0" }, "PT-KERNEL-17");
    refused(kernel, { ...tap, name: "eth0" }, "PT-KERNEL-17");
    refused(kernel, { op: "link.delete", name: "eth0" }, "PT-KERNEL-1");
    refused(kernel, { op: "link.delete", name: "lo" }, "PT-KERNEL-1");
    assert.deepEqual(kernel.readLinks(), before);
  });

  contract("a link of ours of another type is not taken over", (kernel) => {
    kernel.run(bridge);
    refused(kernel, { ...tap, name: bridge.name }, "PT-KERNEL-17");
    assert.equal(linkOf(kernel, bridge.name).type, "bridge");
  });

  contract("a link's settings change together, and only those named", (kernel) => {
    kernel.run(bridge);
    kernel.run(tap);
    kernel.run({ op: "link.set", name: "tap0", changes: { master: "k6t-eth0", up: true, mtu: 1400 } });
    const port = linkOf(kernel, "tap0");
    assert.deepEqual(
      { master: port.master, up: port.up, mtu: port.mtu },
      { master: "k6t-eth0", up: true, mtu: 1400 },
    );
    kernel.run({ op: "link.set", name: "tap0", changes: { mac: "02:11:22:33:44:55" as Mac } });
    assert.deepEqual(linkOf(kernel, "tap0"), { ...port, mac: "02:11:22:33:44:55" });
    kernel.run({ op: "link.set", name: "tap0", changes: { master: null, up: false } });
    const released = linkOf(kernel, "tap0");
    assert.equal(released.master, undefined);
    assert.equal(released.up, false);
    assert.equal(released.mtu, 1400);
  });

  contract("a renamed link keeps index, addresses and ports", (kernel) => {
    kernel.run(bridge);
    kernel.run(tap);
    kernel.run({ op: "link.set", name: "tap0", changes: { master: "k6t-eth0" } });
    kernel.run({ op: "address.add", link: "k6t-eth0", address: "10.0.2.1/24" as Cidr });
    const before = linkOf(kernel, "k6t-eth0");
    kernel.run({ op: "link.set", name: "k6t-eth0", changes: { rename: "k6t-nic" } });
    const after = linkOf(kernel, "k6t-nic");
    assert.equal(after.index, before.index);
    assert.deepEqual(plannedAddresses(after), ["10.0.2.1/24"]);
    assert.equal(linkOf(kernel, "tap0").master, "k6t-nic");
    assert.equal(find(kernel, "k6t-eth0"), undefined);
    refused(kernel, { op: "link.set", name: "k6t-nic", changes: { rename: "tap0" } }, "PT-KERNEL-17");
  });

  contract("a link that is up is renamed too, and up afterwards", (kernel) => {
    kernel.run({ op: "link.set", name: "eth0", changes: { rename: "eth0-nic" } });
    assert.ok(linkOf(kernel, "eth0-nic").up);
  });

  contract("what is to be changed must be there", (kernel) => {
    refused(kernel, { op: "link.set", name: "nowhere", changes: { up: true } }, "PT-KERNEL-19");
    refused(kernel, { op: "link.set", name: "eth0", changes: { master: "nowhere" } }, "PT-KERNEL-19");
    refused(kernel, { op: "address.add", link: "nowhere", address: "10.0.2.1/24" as Cidr }, "PT-KERNEL-19");
    refused(kernel, { op: "sysctl.set", key: "net/ipv4/conf/nowhere/arp_ignore", value: "1" }, "PT-KERNEL-2");
  });

  contract("names that no link can have are refused", (kernel) => {
    for (const name of ["", "a/b", "..", "sixteen-letters-x", "a b"]) {
      refused(kernel, { ...bridge, name }, "PT-KERNEL-22");
      refused(kernel, { op: "link.set", name: "eth0", changes: { rename: name } }, "PT-KERNEL-22");
    }
  });

  contract("deleting is for what is ours, and may be repeated", (kernel) => {
    kernel.run(bridge);
    kernel.run(tap);
    kernel.run({ op: "link.set", name: "tap0", changes: { master: "k6t-eth0" } });
    kernel.run({ op: "link.delete", name: "k6t-eth0" });
    assert.equal(find(kernel, "k6t-eth0"), undefined);
    assert.equal(linkOf(kernel, "tap0").master, undefined);
    kernel.run({ op: "link.delete", name: "tap0" });
    kernel.run({ op: "link.delete", name: "tap0" });
    assert.deepEqual(
      kernel
        .readLinks()
        .map(({ name }) => name)
        .toSorted(),
      ["eth0", "lo"],
    );
  });

  contract("addresses of both families come and go, each asked for twice", (kernel) => {
    kernel.run(bridge);
    const addresses = ["10.0.2.1/24", "fd10:0:2::1/120", "fe80::1/64"] as string[] as Cidr[];
    for (const address of [...addresses, ...addresses]) {
      kernel.run({ op: "address.add", link: "k6t-eth0", address });
    }
    assert.deepEqual(linkOf(kernel, "k6t-eth0").addresses.toSorted(), addresses.toSorted());
    kernel.run({ op: "link.set", name: "k6t-eth0", changes: { up: true } });
    const routes = kernel.readRoutes().filter(({ link }) => link === "k6t-eth0");
    assert.ok(routes.some(({ destination }) => destination === "10.0.2.0/24"));
    assert.ok(routes.some(({ destination }) => destination === "fd10:0:2::/120"));
    for (const address of [...addresses, ...addresses]) {
      kernel.run({ op: "address.delete", link: "k6t-eth0", address });
    }
    assert.deepEqual(plannedAddresses(linkOf(kernel, "k6t-eth0")), []);
    kernel.run({ op: "address.delete", link: "nowhere", address: "10.0.2.1/24" as Cidr });
  });

  contract("addresses are listed in the kernel's order", (kernel) => {
    kernel.run(bridge);
    const added = ["fd10::1/64", "10.1.0.1/24", "fe80::1/64", "10.1.0.2/24", "fd10::2/64", "fe80::2/64"];
    for (const address of added as Cidr[]) kernel.run({ op: "address.add", link: "k6t-eth0", address });
    assert.deepEqual(linkOf(kernel, "k6t-eth0").addresses, [
      ...["10.1.0.1/24", "10.1.0.2/24"],
      ...["fd10::2/64", "fd10::1/64", "fe80::2/64", "fe80::1/64"],
    ]);
  });

  contract("an IPv4 network's first address takes the others of it along", (kernel) => {
    kernel.run(bridge);
    const added = ["10.1.0.1/24", "10.1.0.2/24", "10.1.0.3/16"] as string[] as Cidr[];
    for (const address of added) kernel.run({ op: "address.add", link: "k6t-eth0", address });
    kernel.run({ op: "address.delete", link: "k6t-eth0", address: "10.1.0.1/24" as Cidr });
    assert.deepEqual(linkOf(kernel, "k6t-eth0").addresses, ["10.1.0.3/16"]);
  });

  contract("a point-to-point address has its other end", (kernel) => {
    const pair = { link: "eth0", address: "10.3.0.2/32" as Cidr, peer: "10.3.0.1" as Ip };
    kernel.run({ op: "address.add", ...pair });
    assert.deepEqual(linkOf(kernel, "eth0").peers, { "10.3.0.2/32": "10.3.0.1" });
    assert.ok(routesTo(kernel, "10.3.0.1/32")[0]?.fromAddress);
    kernel.run({ op: "address.delete", ...pair });
    assert.equal(linkOf(kernel, "eth0").peers, undefined);
    assert.deepEqual(plannedAddresses(linkOf(kernel, "eth0")), POD_NIC.addresses);
  });

  contract("a park is made with our mark, down, and once", (kernel) => {
    for (const kind of ["bridge", "dummy"] as const) {
      const park = { op: "park.add", name: `park-${kind}`, kind, mac: OTHER_MAC, mtu: 1450 } as const;
      if (kind === "dummy" && !features.dummy) {
        refused(kernel, park, "PT-KERNEL-95");
        continue;
      }
      kernel.run(park);
      const made = linkOf(kernel, park.name);
      const { type, mac, mtu, alias, up } = made;
      assert.deepEqual({ type, mac, mtu, alias, up }, { ...LIKE_PARK, type: kind });
      kernel.run({ op: "address.add", link: park.name, address: "10.9.9.9/24" as Cidr });
      assert.ok(!kernel.readRoutes().some(({ link }) => link === park.name));
      kernel.run({ ...park, mtu: 1400, mac: BRIDGE_MAC });
      assert.deepEqual(linkOf(kernel, park.name), {
        ...made,
        addresses: ["10.9.9.9/24"],
        mtu: 1400,
        mac: BRIDGE_MAC,
      });
      refused(kernel, { ...tap, name: park.name }, "PT-KERNEL-17");
      kernel.run({ op: "link.delete", name: park.name });
    }
    refused(
      kernel,
      { op: "park.add", name: "eth0", kind: "bridge", mac: OTHER_MAC, mtu: 1450 },
      "PT-KERNEL-17",
    );
  });

  contract("a macvlan or macvtap is made over a link, in its mode, and once", (kernel) => {
    for (const tap of features.macvtap ? [false, true] : []) {
      for (const mode of ["bridge", "private", "vepa", "passthru"] as const) {
        const step = {
          op: "macvlan.add",
          name: "mv0",
          lower: "eth0",
          mode,
          tap,
          mac: OTHER_MAC,
          mtu: 1400,
        } as const;
        kernel.run(step);
        const made = linkOf(kernel, "mv0");
        const { type, mac, mtu, alias, up, macvlan } = made;
        assert.deepEqual(
          { type, mac, mtu, alias, up, macvlan },
          { ...LIKE_PARK, type: tap ? "macvtap" : "macvlan", mtu: 1400, macvlan: { mode } },
        );
        kernel.run({ ...step, mtu: 1300 });
        assert.deepEqual(linkOf(kernel, "mv0"), { ...made, mtu: 1300 });
        assert.equal(linkOf(kernel, "eth0").mac, mode === "passthru" ? OTHER_MAC : POD_NIC.mac);
        refused(kernel, { ...step, mode: mode === "vepa" ? "private" : "vepa" }, "PT-KERNEL-17");
        refused(kernel, { ...step, tap: !tap }, "PT-KERNEL-17");
        refused(kernel, { ...step, name: "mv1", lower: "nowhere" }, "PT-KERNEL-19");
        refused(kernel, { ...step, name: "mv1", mtu: 9000 }, "PT-KERNEL-22");
        kernel.run({ op: "link.delete", name: "mv0" });
        assert.equal(linkOf(kernel, "eth0").mac, POD_NIC.mac);
      }
    }
  });

  contract("a port has its flags from when it joins, and loses them when it leaves", (kernel) => {
    kernel.run(bridge, tap);
    assert.equal(linkOf(kernel, "tap0").port, undefined);
    const flags = { learning: false, neighbourSuppression: true };
    kernel.run({ op: "link.set", name: "tap0", changes: { master: "k6t-eth0", up: true, port: flags } });
    assert.deepEqual(linkOf(kernel, "tap0").port, flags);
    assert.ok(linkOf(kernel, "tap0").up);
    kernel.run({ op: "link.set", name: "tap0", changes: { port: { learning: true } } });
    assert.deepEqual(linkOf(kernel, "tap0").port, { learning: true, neighbourSuppression: true });
    kernel.run({ op: "link.set", name: "tap0", changes: { master: null, port: flags } });
    assert.equal(linkOf(kernel, "tap0").port, undefined);
    kernel.run({ op: "link.set", name: "tap0", changes: { master: "k6t-eth0" } });
    assert.deepEqual(linkOf(kernel, "tap0").port, { learning: true, neighbourSuppression: false });
  });

  contract("a port is renamed, joined and given its flags at once", (kernel) => {
    kernel.run(bridge);
    const changes = { rename: "eth0-nic", mac: OTHER_MAC, master: "k6t-eth0", port: { learning: false } };
    kernel.run({ op: "link.set", name: "eth0", changes });
    const port = linkOf(kernel, "eth0-nic");
    assert.deepEqual(
      { mac: port.mac, master: port.master, port: port.port, up: port.up },
      {
        mac: OTHER_MAC,
        master: "k6t-eth0",
        port: { learning: false, neighbourSuppression: false },
        up: true,
      },
    );
  });

  contract("flags are for ports", (kernel) => {
    refused(kernel, { op: "link.set", name: "eth0", changes: { port: { learning: false } } }, "PT-KERNEL-95");
    refused(kernel, { op: "fdb.add", port: "eth0", mac: OTHER_MAC }, "PT-KERNEL-22");
    refused(kernel, { op: "fdb.add", port: "nowhere", mac: OTHER_MAC }, "PT-KERNEL-19");
    kernel.run({ op: "fdb.delete", port: "nowhere", mac: OTHER_MAC });
    kernel.run({ op: "fdb.delete", port: "eth0", mac: OTHER_MAC });
  });

  contract("static forwarding entries come, stay, and go with their port", (kernel) => {
    kernel.run(bridge, tap, { op: "link.set", name: "tap0", changes: { master: "k6t-eth0" } });
    assert.deepEqual(kernel.readFdb(), []);
    const entry = { port: "tap0", mac: OTHER_MAC };
    kernel.run({ op: "fdb.add", ...entry }, { op: "fdb.add", ...entry });
    assert.deepEqual(kernel.readFdb(), [entry]);
    kernel.run({ op: "fdb.delete", ...entry }, { op: "fdb.delete", ...entry });
    assert.deepEqual(kernel.readFdb(), []);
    kernel.run({ op: "fdb.add", ...entry }, { op: "link.set", name: "tap0", changes: { rename: "tap1" } });
    assert.deepEqual(kernel.readFdb(), [{ ...entry, port: "tap1" }]);
    kernel.run({ op: "link.set", name: "tap1", changes: { master: null } });
    assert.deepEqual(kernel.readFdb(), []);
  });

  contract(
    "permanent neighbours of both families, until their link goes down or changes its MAC",
    (kernel) => {
      const two = [
        { link: "eth0", ip: "169.254.1.1" as Ip, mac: OTHER_MAC },
        { link: "eth0", ip: "fd00::1" as Ip, mac: OTHER_MAC },
      ] as const;
      const add = (): void => kernel.run(...two.map((one) => ({ op: "neighbour.add" as const, ...one })));
      const seen = () => kernel.readNeighbours().toSorted((a, b) => a.ip.localeCompare(b.ip));
      assert.deepEqual(seen(), []);
      add();
      add();
      assert.deepEqual(
        seen(),
        two.map((one) => ({ ...one, permanent: true })),
      );
      kernel.run({ op: "neighbour.add", ...two[0], mac: BRIDGE_MAC });
      assert.equal(seen()[0]?.mac, BRIDGE_MAC);
      for (const { link, ip } of [...two, ...two]) kernel.run({ op: "neighbour.delete", link, ip });
      assert.deepEqual(seen(), []);
      add();
      kernel.run({ op: "link.set", name: "eth0", changes: { mac: BRIDGE_MAC } });
      assert.deepEqual(seen(), []);
      add();
      kernel.run({ op: "link.set", name: "eth0", changes: { up: false } });
      assert.deepEqual(seen(), []);
      refused(kernel, { op: "neighbour.add", ...two[0], link: "nowhere" }, "PT-KERNEL-19");
      kernel.run({ op: "neighbour.delete", ...two[0], link: "nowhere" });
    },
  );

  contract("whoever is silent is no neighbour", (kernel) => {
    assert.deepEqual(
      kernel.resolveNeighbours("eth0", ["10.244.0.77", "fd00:10:244::77"] as string[] as Ip[]),
      [],
    );
    assert.deepEqual(kernel.resolveNeighbours("eth0", []), []);
  });

  contract("routes of all kinds come and go, each asked for twice", (kernel) => {
    const before = kernel.readRoutes();
    const kinds = [
      { destination: "192.0.2.0/24", link: "eth0", source: "10.244.0.5" },
      { destination: "169.254.1.1/32", link: "eth0" },
      { destination: "198.51.100.0/24", gateway: "169.254.1.1", link: "eth0", mtu: 1400 },
      { destination: "198.51.100.0/24", gateway: "10.244.0.9", link: "eth0", metric: 50 },
      { destination: "203.0.113.0/24", gateway: "172.16.0.1", link: "eth0", onLink: true },
      { destination: "203.0.114.0/24", gateway: "fe80::9", link: "eth0" },
      { destination: "fd77::/64", gateway: "fd00:10:244::9", link: "eth0", metric: 2000 },
      { destination: "fd78::/64", gateway: "fe80::9", link: "eth0", metric: 1024 },
      { destination: "fd79::/64", link: "eth0", metric: 1024 },
      { destination: "fd80::/64", gateway: "fd99::1", link: "eth0", metric: 1024, onLink: true },
    ] as unknown as readonly ObservedRoute[];
    for (const route of [...kinds, ...kinds]) kernel.run({ op: "route.add", route });
    const now = kernel.readRoutes();
    for (const route of kinds) {
      const same = now.filter((one) => one.destination === route.destination && one.metric === route.metric);
      assert.deepEqual(same, [route]);
    }
    assert.equal(now.length, before.length + kinds.length);
    for (const route of [...kinds, ...kinds].toReversed()) kernel.run({ op: "route.delete", route });
    assert.deepEqual(kernel.readRoutes(), before);
    kernel.run({ op: "route.delete", route: { ...kinds[0], link: "nowhere" } as ObservedRoute });
    refused(
      kernel,
      { op: "route.add", route: { ...kinds[0], link: "nowhere" } as ObservedRoute },
      "PT-KERNEL-19",
    );
  });

  contract("an IPv6 route is added beside another gateway's of the same metric", (kernel) => {
    const route = { destination: "fd77::/64" as Cidr, link: "eth0", metric: 1024 };
    for (const gateway of ["fe80::8", "fd00:10:244::9", "fe80::8"] as string[] as Ip[]) {
      kernel.run({ op: "route.add", route: { ...route, gateway } });
    }
    const gateways = routesTo(kernel, "fd77::/64").map(({ gateway }) => gateway ?? "");
    assert.deepEqual(gateways.toSorted(), ["fd00:10:244::9", "fe80::8"]);
  });

  contract("a gateway must be reachable, a source one's own", (kernel) => {
    const to = (rest: object): Step => ({
      op: "route.add",
      route: { destination: "192.0.2.0/24", link: "eth0", ...rest } as ObservedRoute,
    });
    refused(kernel, to({ gateway: "172.16.0.1" }), "PT-KERNEL-101");
    refused(kernel, to({ source: "172.16.0.1" }), "PT-KERNEL-22");
  });

  contract("a multipath route comes and goes hop by hop, each with its share and place", (kernel) => {
    for (const [destination, prefix] of [
      ["192.0.2.0/24", "10.244.0."],
      ["fd77::/64", "fd00:10:244::"],
    ] as const) {
      const hops = [1, 2, 3].map((n) => ({ gateway: `${prefix}${n}` as Ip, link: "eth0", weight: 10 * n }));
      const metric = 1024;
      const routes = hops.map(({ weight: _, ...hop }) => ({
        destination: destination as Cidr,
        metric,
        ...hop,
        hops,
      }));
      for (const route of [...routes, ...routes]) kernel.run({ op: "route.add", route });
      assert.deepEqual(routesTo(kernel, destination), routes);
      const [first, second, third] = routes as readonly ObservedRoute[] as [
        ObservedRoute,
        ObservedRoute,
        ObservedRoute,
      ];
      kernel.run({ op: "route.delete", route: second });
      assert.deepEqual(
        routesTo(kernel, destination).map(({ gateway }) => gateway),
        [first.gateway, third.gateway],
      );
      for (const route of [first, first, third]) kernel.run({ op: "route.delete", route });
      assert.deepEqual(routesTo(kernel, destination), []);
      for (const route of [third, second, first]) kernel.run({ op: "route.add", route });
      assert.deepEqual(routesTo(kernel, destination), routes);
    }
  });

  contract("a link's routes go with its last address, and when it goes down", (kernel) => {
    const of = (family: string) =>
      kernel.readRoutes().filter(({ link, destination }) => link === "eth0" && destination.includes(family));
    assert.equal(of(".").length, 2);
    kernel.run({ op: "address.delete", link: "eth0", address: POD_NIC.addresses[0] as Cidr });
    assert.deepEqual(of("."), []);
    kernel.run({ op: "link.set", name: "eth0", changes: { up: false } });
    assert.deepEqual(of(":"), []);
    assert.deepEqual(linkOf(kernel, "eth0").addresses, []);
  });

  contract("a prefix route is the address's, and may be taken away from it", (kernel) => {
    for (const destination of ["10.244.0.0/24", "fd00:10:244::/64"]) {
      const [route] = routesTo(kernel, destination);
      assert.ok(route?.fromAddress);
      kernel.run({ op: "route.delete", route }, { op: "route.delete", route });
      assert.deepEqual(routesTo(kernel, destination), []);
    }
  });

  contract("what enters a link is redirected, otherwise, and no more", (kernel) => {
    kernel.run(tap);
    const [classifier = "bpf"] = features.classifiers;
    const redirect = { to: "eth0", classifier, local: [{ family: 4, udpDestination: 67 }] } as const;
    const read = () => kernel.readRedirects(["tap0", "eth0", "nowhere"]);
    assert.deepEqual(read(), { tap0: null, eth0: null, nowhere: null });
    kernel.run({ op: "redirect.set", link: "tap0", redirect });
    const seen = { to: "eth0", classifier, digest: redirectDigest(redirect) };
    assert.deepEqual(read(), { tap0: seen, eth0: null, nowhere: null });
    kernel.run({ op: "redirect.set", link: "tap0", redirect: { ...redirect, local: [] } });
    assert.notDeepEqual(read()["tap0"], seen);
    kernel.run({ op: "link.set", name: "eth0", changes: { rename: "eth0-nic" } });
    assert.equal(read()["tap0"]?.to, "eth0-nic");
    kernel.run({ op: "redirect.delete", link: "tap0" }, { op: "redirect.delete", link: "tap0" });
    assert.equal(read()["tap0"], null);
    kernel.run({ op: "redirect.delete", link: "nowhere" });
    refused(
      kernel,
      { op: "redirect.set", link: "tap0", redirect: { ...redirect, to: "nowhere" } },
      "PT-KERNEL-19",
    );
  });

  contract("settings are written and read back, of the pod and of a link", (kernel) => {
    for (const value of ["1", "0", "1"]) {
      kernel.run({ op: "sysctl.set", key: "net/ipv4/ip_forward", value });
      assert.equal(kernel.readSysctl("net/ipv4/ip_forward"), value);
    }
    kernel.run(bridge);
    const key = "net/ipv4/conf/k6t-eth0/route_localnet";
    assert.equal(kernel.readSysctl(key), "0");
    kernel.run({ op: "sysctl.set", key, value: "1" });
    assert.equal(kernel.readSysctl(key), "1");
    kernel.run({ op: "link.delete", name: "k6t-eth0" });
    assert.equal(kernel.readSysctl(key), null);
    assert.equal(kernel.readSysctl("net/ipv4/no_such_setting"), null);
  });

  contract("settings that are not a pod's are refused", (kernel) => {
    for (const key of [
      "kernel/hostname",
      "net/../kernel/hostname",
      "/net/ipv4/ip_forward",
      "net//ipv4",
      "net",
    ]) {
      refused(kernel, { op: "sysctl.set", key, value: "1" }, "PT-KERNEL-22");
      assert.throws(() => kernel.readSysctl(key), { code: "PT-KERNEL-22" });
    }
  });

  contract("rules are replaced whole, and their digest follows them", (kernel) => {
    assert.deepEqual(kernel.readNftTables("podtap"), []);
    kernel.run({ op: "nft.replace", tables: [table("ip"), table("ip6")] });
    const first = kernel.readNftTables("podtap");
    assert.deepEqual(first.map(({ family, name }) => `${family} ${name}`).toSorted(), [
      "ip podtap-eth0",
      "ip6 podtap-eth0",
    ]);
    kernel.run({ op: "nft.replace", tables: [table("ip"), table("ip6")] });
    assert.deepEqual(kernel.readNftTables("podtap"), first);
    kernel.run({ op: "nft.replace", tables: [table("ip", ["accept"])] });
    const second = kernel.readNftTables("podtap");
    const digest = (tables: typeof first, family: string) =>
      tables.find((one) => one.family === family)?.digest;
    assert.notEqual(digest(second, "ip"), digest(first, "ip"));
    assert.equal(digest(second, "ip6"), digest(first, "ip6"));
    assert.deepEqual(kernel.readNftTables("podtap-net1"), []);
  });

  contract("tables believed to be absent are replaced where they are not", (kernel) => {
    kernel.run({ op: "nft.replace", tables: [table("ip")], fresh: true });
    const first = kernel.readNftTables("podtap");
    assert.equal(first.length, 1);
    kernel.run({ op: "nft.replace", tables: [table("ip6"), table("ip", ["accept"])], fresh: true });
    const second = kernel.readNftTables("podtap");
    assert.equal(second.length, 2);
    kernel.run({ op: "nft.replace", tables: [table("ip")] });
    const third = kernel.readNftTables("podtap").find(({ family }) => family === "ip");
    assert.deepEqual(third, first[0]);
  });

  contract("the ruleset's generation changes with its tables only", (kernel) => {
    const first = kernel.readNftGeneration();
    kernel.run({ op: "bridge.add", name: "k6t-eth0", mtu: 1500 });
    kernel.readNftTables("podtap");
    assert.equal(kernel.readNftGeneration(), first);
    kernel.run({ op: "nft.replace", tables: [table("ip")] });
    const second = kernel.readNftGeneration();
    assert.notEqual(second, first);
    kernel.run({ op: "nft.delete", tables: [{ family: "ip", name: "podtap-eth0" }] });
    assert.notEqual(kernel.readNftGeneration(), second);
  });

  contract("tables believed fresh are replaced all the same where they are not", (kernel) => {
    const tables = [table("ip"), table("ip6")];
    kernel.run({ op: "nft.replace", tables, fresh: true });
    const first = kernel.readNftTables("podtap");
    assert.equal(first.length, 2);
    kernel.run({ op: "nft.replace", tables, fresh: true });
    assert.deepEqual(kernel.readNftTables("podtap"), first);
  });

  contract("tables are removed, whether they are there or not", (kernel) => {
    kernel.run({ op: "nft.replace", tables: [table("ip"), table("ip6")] });
    kernel.run({ op: "nft.delete", tables: [{ family: "ip", name: "podtap-eth0" }] });
    assert.deepEqual(
      kernel.readNftTables("podtap").map(({ family }) => family),
      ["ip6"],
    );
    const both = [
      { family: "ip", name: "podtap-eth0" },
      { family: "ip6", name: "podtap-eth0" },
    ] as const;
    kernel.run({ op: "nft.delete", tables: both });
    kernel.run({ op: "nft.delete", tables: both });
    assert.deepEqual(kernel.readNftTables("podtap"), []);
  });

  contract("tables without podtap's prefix are left alone", (kernel) => {
    refused(kernel, { op: "nft.replace", tables: [{ ...table("ip"), name: "nat" }] }, "PT-NFT-3");
    refused(kernel, { op: "nft.delete", tables: [{ family: "ip", name: "nat" }] }, "PT-NFT-3");
  });

  contract("named counters are read", (kernel) => {
    kernel.run({ op: "nft.replace", tables: [table("ip")] });
    assert.deepEqual(kernel.readNftCounters({ family: "ip", name: "podtap-eth0" }), {
      dropped: { packets: 0, bytes: 0 },
      passed: { packets: 0, bytes: 0 },
    });
    assert.throws(() => kernel.readNftCounters({ family: "ip6", name: "podtap-eth0" }), {
      code: "PT-KERNEL-2",
    });
  });
}

const bridge = { op: "bridge.add", name: "k6t-eth0", mac: BRIDGE_MAC, mtu: 1450 } as const;
const tap = { op: "tap.add", name: "tap0", uid: 107, multiQueue: false, mtu: 1450 } as const;

const OTHER_MAC = "02:aa:bb:cc:dd:ee" as Mac;
const LIKE_PARK = { mac: OTHER_MAC, mtu: 1450, alias: LINK_MARK, up: false };

function routesTo(kernel: Kernel, destination: string): readonly ObservedRoute[] {
  return kernel.readRoutes().filter((route) => route.destination === destination);
}

function table(family: "ip" | "ip6", rules: readonly string[] = ["counter name dropped drop"]): NftTable {
  const guest = family === "ip" ? "10.0.2.2" : "fd10:0:2::2";
  return {
    family,
    name: "podtap-eth0",
    counters: [{ name: "dropped" }, { name: "passed" }],
    sets: [
      {
        name: "inbound",
        key: "inet_proto . inet_service",
        to: family === "ip" ? "ipv4_addr" : "ipv6_addr",
        interval: true,
        elements: [
          { key: "tcp . 80", value: guest },
          { key: "udp . 5000-5010", value: guest },
        ],
      },
    ],
    chains: [
      {
        name: "prerouting",
        hook: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" },
        rules: ['iifname "eth0" dnat to meta l4proto . th dport map @inbound'],
      },
      { name: "forward", hook: { type: "filter", hook: "forward", priority: 0, policy: "accept" }, rules },
    ],
  };
}

function refused(kernel: Kernel, step: Step, code: string): void {
  assert.throws(() => kernel.run(step), { code }, `${step.op} ${JSON.stringify(step)}`);
}

function find(kernel: Kernel, name: string): ObservedLink | undefined {
  return kernel.readLinks().find((link) => link.name === name);
}

function linkOf(kernel: Kernel, name: string): ObservedLink {
  const link = find(kernel, name);
  assert.ok(link, `no link ${name}`);
  return link;
}

/** Without the link-local ones that a kernel gives on its own. */
function plannedAddresses({ addresses }: ObservedLink): readonly Cidr[] {
  return addresses.filter((address) => !address.startsWith("fe80:"));
}
