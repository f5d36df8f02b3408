import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRoute } from "./netlink-route.ts";

/** As Linux 6.18 dumped them. */
const told = (text: string) => decodeRoute(Uint8Array.from(Buffer.from(text, "hex")));
const IPV6_CACHE_INFO =
  "24000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000";

test("a connected route", () => {
  const connected =
    "02180000fe02fd011000000008000f00fe000000080001000a090000080007000a0900010800040002000000";
  assert.deepEqual(told(connected), [
    { destination: "10.9.0.0/24", link: 2, source: "10.9.0.1", fromAddress: true },
  ]);
});

test("a default route over a gateway, with its metric", () => {
  const route =
    "0a000000fe0300011000000008000f00fe000000080006000004000014000500fd0000000000000000000000000000020800040002000000";
  assert.deepEqual(told(route + IPV6_CACHE_INFO), [
    { destination: "::/0", gateway: "fd00::2", link: 2, metric: 1024 },
  ]);
});

test("multipath, one entry a hop", () => {
  const route =
    "02180000fe0300011000000008000f00fe00000008000100c0000200240009001000100002000000080005000a0900021000100002000000080005000a090003";
  const hops = [
    { gateway: "10.9.0.2", link: 2, weight: 1 },
    { gateway: "10.9.0.3", link: 2, weight: 1 },
  ];
  assert.deepEqual(told(route), [
    { destination: "192.0.2.0/24", gateway: "10.9.0.2", link: 2, hops },
    { destination: "192.0.2.0/24", gateway: "10.9.0.3", link: 2, hops },
  ]);
});

test("an IPv4 route over an IPv6 neighbour", () => {
  const route =
    "02200000fe0300010000000008000f00fe00000008000100cb0071070800060005000000160012000a00fd00000000000000000000000000000900000800040002000000";
  assert.deepEqual(told(route), [{ destination: "203.0.113.7/32", gateway: "fd00::9", link: 2, metric: 5 }]);
});

test("routes of other tables, local, cloned and unreachable ones are left out", () => {
  const connected = "02180000fe02fd011000000008000f00fe000000080001000a0900000800040002000000";
  const changed = (at: number, byte: string) =>
    connected.slice(0, at * 2) + byte + connected.slice(at * 2 + 2);
  assert.equal(told(connected).length, 1);
  const otherTable = changed(16, "64");
  const local = changed(7, "02");
  const unreachable = changed(7, "07");
  const cloned = changed(9, "02");
  const otherFamily = changed(0, "1c");
  for (const route of [otherTable, local, unreachable, cloned, otherFamily])
    assert.deepEqual(told(route), []);
});
