import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Ip, ipFromBytes } from "../base/ip.ts";
import { type Mac, macFromBytes } from "../base/mac.ts";
import { attribute, concat } from "./netlink.ts";
import { decodeFdbEntry, decodeNeighbour, encodeFdbEntry, encodeNeighbour } from "./netlink-neighbour.ts";

const MAC = "02:00:00:00:00:01" as Mac;
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes);
const index = fc.integer({ min: 1, max: 0x7fffffff });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test("neighbours of both families come back as they were", () => {
  const ip = fc.oneof(bytes(4), bytes(16)).map(ipFromBytes);
  fc.assert(
    fc.property(index, ip, mac, (link, address, at) => {
      assert.deepEqual(decodeNeighbour(encodeNeighbour({ link, ip: address, mac: at })), {
        link,
        ip: address,
        mac: at,
        permanent: true,
      });
    }),
  );
});

test("a neighbour that is being looked for is none yet", () => {
  assert.equal(decodeNeighbour(encodeNeighbour({ link: 1, ip: "10.0.0.1" as Ip })), undefined);
});

test("of forwarding tables only static entries of a bridge count", () => {
  const ours = encodeFdbEntry({ port: 3, mac: MAC });
  const master = attribute(9, Uint8Array.of(2, 0, 0, 0));
  assert.deepEqual(decodeFdbEntry(concat(ours, master)), { port: 3, mac: MAC });
  // What the device itself filters has no bridge.
  assert.equal(decodeFdbEntry(ours), undefined);
  const learned = Uint8Array.from(ours);
  learned[8] = 2;
  assert.equal(decodeFdbEntry(concat(learned, master)), undefined);
  assert.equal(decodeFdbEntry(concat(ours, master, attribute(5, Uint8Array.of(1, 0)))), undefined);
  assert.equal(decodeFdbEntry(encodeNeighbour({ link: 3, ip: "10.0.0.1" as Ip, mac: MAC })), undefined);
});
