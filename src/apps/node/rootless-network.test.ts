import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cidr, Ip } from "../../base/ip.ts";
import type { ObservedLink, ObservedRoute } from "../../plan/observed.ts";
import { echoNotes, uplinkOf } from "./rootless-network.ts";

const link = (name: string, address: string, up = true): ObservedLink => ({
  index: 1,
  name,
  type: "",
  mtu: 1500,
  up,
  addresses: [address as Cidr],
});
const route = (destination: string, over: string, metric: number): ObservedRoute => ({
  destination: destination as Cidr,
  gateway: "192.0.2.1" as string as Ip,
  link: over,
  metric,
});

test("a rootless guest shares the link of the preferred default route", () => {
  const links = [link("lo", "127.0.0.1/8"), link("wlan0", "192.0.2.7/24"), link("eth1", "198.51.100.7/24")];
  const routes = [route("0.0.0.0/0", "wlan0", 600), route("0.0.0.0/0", "eth1", 100)];
  assert.equal(uplinkOf(links, routes).name, "eth1");
  // One that is down, or has no address, carries nothing.
  assert.equal(
    uplinkOf([...links.slice(0, 2), link("eth1", "198.51.100.7/24", false)], routes).name,
    "wlan0",
  );
  assert.equal(uplinkOf([...links.slice(0, 2), link("eth1", "fe80::1/64")], routes).name, "wlan0");
});

test("without a default route any link with an address does, and none is told", () => {
  assert.equal(uplinkOf([link("lo", "127.0.0.1/8"), link("br0", "10.1.0.1/16")], []).name, "br0");
  assert.throws(() => uplinkOf([link("lo", "127.0.0.1/8")], []), { code: "PT-ROOTLESS-2" });
});

test("a user whom echo sockets are not for is told", () => {
  assert.deepEqual(echoNotes("0\t2147483647", [1000]), []);
  assert.deepEqual(echoNotes("4000\t4000", [1000, 4000]), []);
  assert.match(echoNotes("1\t0", [1000])[0] ?? "", /ping_group_range/);
  assert.equal(echoNotes(null, [0, 1]).length, 1);
});
