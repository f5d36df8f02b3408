import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cidr, type Ip, ipFromBytes, toCidr } from "../base/ip.ts";
import { decodeRoute, encodeRoute, encodeRouteDeletion, type RouteInfo } from "./netlink-route.ts";

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

test("what a router advertised: its own route, and a prefix that runs out", () => {
  const route = (protocol: string) =>
    `0a000000fe${protocol}00011000000008000f00fe000000080006000004000014000500fd0000000000000000000000000000020800040002000000`;
  const expiring = IPV6_CACHE_INFO.replace(/^24000c00.{16}.{8}/, (head) => `${head.slice(0, -8)}10270000`);
  const plain = { destination: "::/0", gateway: "fd00::2", link: 2, metric: 1024 };
  assert.deepEqual(told(route("09") + IPV6_CACHE_INFO), [{ ...plain, advertised: true }]);
  assert.deepEqual(told(route("02") + expiring), [{ ...plain, fromAddress: true, advertised: true }]);
  assert.deepEqual(told(route("02") + IPV6_CACHE_INFO), [{ ...plain, fromAddress: true }]);
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

test("routes of both families come back as they were", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(ipFromBytes);
  const optional = <T extends object>(value: fc.Arbitrary<T>) => fc.oneof(fc.constant({}), value);
  const route = fc.constantFrom(4, 16).chain((length) =>
    fc
      .tuple(
        fc.tuple(bytes(length), fc.integer({ min: 1, max: length * 8 })),
        fc.integer({ min: 1, max: 0x7fffffff }),
        optional(fc.oneof(bytes(4), bytes(16)).map((gateway) => ({ gateway }))),
        optional(bytes(length).map((source) => ({ source }))),
        optional(fc.integer({ min: 1, max: 0xffffffff }).map((metric) => ({ metric }))),
        optional(fc.integer({ min: 68, max: 65535 }).map((mtu) => ({ mtu }))),
        optional(fc.constant({ onLink: true as const })),
      )
      .map(([[ip, prefix], link, ...rest]): RouteInfo => {
        return Object.assign({ destination: toCidr(ip, prefix), link }, ...rest);
      }),
  );
  fc.assert(
    fc.property(route, (wanted) => {
      assert.deepEqual(decodeRoute(encodeRoute(wanted)), [wanted]);
    }),
  );
});

test("a multipath route comes back with its hops' shares and order", () => {
  const destination = "0.0.0.0/0" as Cidr;
  const hops = [
    { gateway: "10.9.0.2" as Ip, link: 2, weight: 1 },
    { gateway: "fe80::3" as Ip, link: 3, weight: 256, onLink: true as const },
  ];
  const route = { destination, link: 2, metric: 7 };
  assert.deepEqual(decodeRoute(encodeRoute(route, hops)), [
    { destination, metric: 7, gateway: "10.9.0.2", link: 2, hops },
    { destination, metric: 7, gateway: "fe80::3", link: 3, onLink: true, hops },
  ]);
});

test("a deletion is for a route of any scope and of any origin", () => {
  const payload = encodeRouteDeletion({ destination: "10.9.0.0/24" as Cidr, link: 2 });
  assert.deepEqual([payload[5], payload[6]], [0, 255]);
});
