import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cidr, ipFromBytes, toCidr } from "../base/ip.ts";
import { decodeAddress, encodeAddress } from "./netlink-address.ts";

test("addresses as the kernel tells them", () => {
  const told = (text: string) => decodeAddress(Uint8Array.from(Buffer.from(text, "hex")));
  assert.deepEqual(
    told(
      "0218800002000000080001000a090001080002000a0900010800030062723000080008008000000014000600fffffffffffffffff0890400f0890400",
    ),
    { link: 2, address: "10.9.0.1/24" },
  );
  // Point to point: IFA_LOCAL is ours, IFA_ADDRESS the peer's.
  assert.deepEqual(
    told(
      "0220800004000000080001000a000002080002000a0000010900030074756e3000000000080008008000000014000600fffffffffffffffff2890400f2890400",
    ),
    { link: 4, address: "10.0.0.1/32", peer: "10.0.0.2" },
  );
  assert.deepEqual(
    told(
      "0a4082000200000014000100fd00000000000000000000000000000114000600fffffffffffffffff1890400f18904000800080082000000",
    ),
    { link: 2, address: "fd00::1/64" },
  );
  // Made of an advertisement: the same without IFA_F_PERMANENT.
  assert.deepEqual(
    told(
      "0a4000000200000014000100fd00000000000000000000000000000114000600ffff0000ffff0000f1890400f18904000800080000010000",
    ),
    { link: 2, address: "fd00::1/64", advertised: true },
  );
  assert.equal(told("0718800002000000080001000a090001"), undefined);
  assert.equal(told("0218800002000000"), undefined);
});

test("addresses of both families come back as they were", () => {
  const v4 = fc
    .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 32 }))
    .map(([bytes, prefix]) => toCidr(ipFromBytes(bytes), prefix));
  const v6 = fc
    .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }))
    .map(([bytes, prefix]) => toCidr(ipFromBytes(bytes), prefix));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x7fffffff }), fc.oneof(v4, v6), (link, address) => {
      // Lifetimes are not asked for, and only an answer tells how long an address lasts.
      const { advertised: _, ...told } = decodeAddress(encodeAddress({ link, address })) ?? {};
      assert.deepEqual(told, { link, address });
    }),
  );
});

test("an IPv6 address skips duplicate address detection, a link-local one has link scope", () => {
  const nodad = Buffer.from([8, 0, 8, 0, 2, 0, 0, 0]);
  const encoded = (address: string) => Buffer.from(encodeAddress({ link: 1, address: address as Cidr }));
  assert.ok(encoded("fd00::1/64").includes(nodad));
  assert.ok(!encoded("10.0.0.1/24").includes(nodad));
  assert.equal(encoded("fe80::1/64")[3], 253);
  assert.equal(encoded("fd00::1/64")[3], 0);
});
