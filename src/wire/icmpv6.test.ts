import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture } from "../../test/support/captures.ts";
import { encodeDnsName } from "./dns-names.ts";
import {
  checkIcmp6,
  decodeRouterAdvert,
  decodeRouterSolicit,
  encodeIcmp6Frame,
  encodeRouterAdvert,
  type RouterAdvert,
} from "./icmpv6.ts";

/** Records as literals make them: deepEqual looks at the prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const ip6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const prefix = plainRecord({
  prefix: ip6,
  length: fc.integer({ min: 0, max: 128 }),
  onLink: fc.boolean(),
  autonomous: fc.boolean(),
  validSeconds: u32,
  preferredSeconds: u32,
});
const name = fc
  .array(fc.stringMatching(/^[a-z]{1,10}$/), { minLength: 1, maxLength: 3 })
  .map((labels) => encodeDnsName(labels.join("."))!);
const advert: fc.Arbitrary<RouterAdvert> = plainRecord({
  hopLimit: u8,
  managed: fc.boolean(),
  otherConfig: fc.boolean(),
  routerLifetimeSeconds: u16,
  sourceMac: mac,
  mtu: u32,
  prefixes: fc.array(prefix, { maxLength: 3 }),
  nameservers: fc.array(ip6, { maxLength: 3 }),
  searchDomains: fc.array(name, { maxLength: 4 }),
  dnsSeconds: u32,
}).map((value) =>
  value.nameservers.length + value.searchDomains.length === 0 ? { ...value, dnsSeconds: 0 } : value,
);

test("router advertisements read back", () => {
  fc.assert(
    fc.property(advert, (value) => assert.deepEqual(decodeRouterAdvert(encodeRouterAdvert(value)), value)),
  );
});

test("a frame's ICMPv6 checksum is right, and wrong after any change", () => {
  const message = encodeRouterAdvert({
    hopLimit: 64,
    managed: true,
    otherConfig: true,
    routerLifetimeSeconds: 9000,
    prefixes: [],
    nameservers: [],
    searchDomains: [],
    dnsSeconds: 0,
  });
  fc.assert(
    fc.property(mac, mac, ip6, ip6, fc.nat(), (sourceMac, destinationMac, source, destination, where) => {
      const frame = encodeIcmp6Frame({ sourceMac, destinationMac, source, destination }, message);
      assert.equal(checkIcmp6(frame.subarray(14), frame.subarray(54)), undefined);
      const at = 54 + (where % (frame.length - 54));
      frame[at] = (frame[at] ?? 0) ^ 0x55;
      assert.equal(checkIcmp6(frame.subarray(14), frame.subarray(54)), "bad-checksum");
    }),
  );
});

test("the kernel's own solicitation is accepted", () => {
  const frame = capture("kernel-router-solicit");
  assert.equal(checkIcmp6(frame.subarray(14), frame.subarray(54)), undefined);
  assert.deepEqual(decodeRouterSolicit(frame.subarray(54)), {
    sourceMac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56),
  });
});

test("options that never end or end too late are refused", () => {
  const base = [133, 0, 0, 0, 0, 0, 0, 0];
  const decode = (...tail: readonly number[]) => decodeRouterSolicit(Uint8Array.from([...base, ...tail]));
  assert.equal(decode(1, 0, 0, 0, 0, 0, 0, 0), "bad-length");
  assert.equal(decode(1, 2, 0, 0, 0, 0, 0, 0), "truncated");
  assert.equal(decode(1), "bad-length");
  assert.equal(decodeRouterSolicit(Uint8Array.of(133, 1, 0, 0, 0, 0, 0, 0)), "bad-header");
  assert.equal(decodeRouterSolicit(Uint8Array.of(134, 0, 0, 0, 0, 0, 0, 0)), "other-protocol");
  assert.equal(decodeRouterSolicit(new Uint8Array(7)), "truncated");
});

test("random neighbour discovery is decoded or refused", () => {
  const bytes = fc
    .tuple(fc.constantFrom(133, 134), fc.uint8Array({ maxLength: 200 }))
    .map(([type, tail]) => Uint8Array.from([type, 0, ...tail]));
  fc.assert(
    fc.property(bytes, (message) => {
      decodeRouterSolicit(message);
      decodeRouterAdvert(message);
    }),
  );
});
