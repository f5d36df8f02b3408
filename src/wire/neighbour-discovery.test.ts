import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Ip, ipToBytes, parseIp } from "../base/ip.ts";
import { checkIcmp6, encodeIcmp6Frame } from "./icmpv6.ts";
import { decodeNeighbourAnswer, encodeNeighbourQuestion } from "./neighbour-discovery.ts";

const ASKER = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ROUTER = Uint8Array.of(2, 0, 0, 0, 0, 9);
const OWN = ip("fd00::5");
const TARGET = ip("fd00::12:3456");

test("a neighbour is asked at its solicited-node group, and told who asks", () => {
  const frame = encodeNeighbourQuestion({ sourceMac: ASKER, source: OWN, target: TARGET });
  assert.deepEqual([...frame.subarray(0, 6)], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
  assert.deepEqual(frame.subarray(38, 54), ip("ff02::1:ff12:3456"));
  assert.equal(frame[21], 255);
  const message = frame.subarray(54);
  assert.equal(checkIcmp6(frame.subarray(14), message), undefined);
  assert.deepEqual([message[0], message[1]], [135, 0]);
  assert.deepEqual(message.subarray(8, 24), TARGET);
  assert.deepEqual([...message.subarray(24)], [1, 1, ...ASKER]);
});

test("whoever asks without an address keeps its MAC to itself", () => {
  const frame = encodeNeighbourQuestion({ sourceMac: ASKER, source: ip("::"), target: TARGET });
  assert.equal(frame.length, 54 + 24);
});

test("an answer tells the target's MAC, by option or by frame", () => {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 7);
  assert.deepEqual(decodeNeighbourAnswer(answer([2, 1, ...mac])), { ip: TARGET, mac });
  assert.deepEqual(decodeNeighbourAnswer(answer([14, 1, 0, 0, 0, 0, 0, 0, 2, 1, ...mac])), {
    ip: TARGET,
    mac,
  });
  assert.deepEqual(decodeNeighbourAnswer(answer([])), { ip: TARGET, mac: ROUTER });
  // An option of length zero would never end.
  assert.deepEqual(decodeNeighbourAnswer(answer([1, 0, 0, 0, 0, 0, 0, 0])), { ip: TARGET, mac: ROUTER });
});

test("answers that a router let through, broken ones and questions tell nothing", () => {
  const good = answer([]);
  const far = Uint8Array.from(good);
  far[21] = 254;
  assert.equal(decodeNeighbourAnswer(far), "bad-header");
  const broken = Uint8Array.from(good);
  broken[70] = 1;
  assert.equal(decodeNeighbourAnswer(broken), "bad-checksum");
  const question = encodeNeighbourQuestion({ sourceMac: ASKER, source: OWN, target: TARGET });
  assert.equal(decodeNeighbourAnswer(question), "other-protocol");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      assert.equal(typeof decodeNeighbourAnswer(bytes), "string");
    }),
  );
});

function answer(options: readonly number[]): Uint8Array {
  const message = new Uint8Array(24 + options.length);
  message.set([136, 0, 0, 0, 0xe0]);
  message.set(TARGET, 8);
  message.set(options, 24);
  return encodeIcmp6Frame(
    { sourceMac: ROUTER, destinationMac: ASKER, source: TARGET, destination: OWN },
    message,
  );
}

function ip(text: string): Uint8Array {
  return ipToBytes(parseIp(text) as Ip);
}
