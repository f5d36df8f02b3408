import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Ip, ipFromBytes, ipToBytes } from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import { decodeArpAnswer, encodeArpQuestion } from "../wire/arp.ts";
import { decodeEthernet } from "../wire/ethernet.ts";
import { decodeIpv6 } from "../wire/ipv6.ts";
import { decodeNeighbourAnswer, encodeNeighbourQuestion } from "../wire/neighbour-discovery.ts";
import { neighboursResponder } from "./neighbours.ts";

const ROUTER = { ip: "fe80::1:2" as Ip, mac: "ee:ee:ee:00:00:01" as Mac, isRouter: true };
const HOST = { ip: "fd99::9" as Ip, mac: "ee:ee:ee:00:00:02" as Mac, isRouter: false };
const GATEWAY = { ip: "169.254.1.1" as Ip, mac: "ee:ee:ee:00:00:03" as Mac, isRouter: true };
const guestMac = macToBytes("02:00:00:00:00:09" as Mac);
const responder = neighboursResponder({ neighbours: [ROUTER, HOST, GATEWAY] });

function askFor(target: Ip, source: string): Uint8Array | undefined {
  const question = { sourceMac: guestMac, source: ipToBytes(source as Ip), target: ipToBytes(target) };
  return responder.answer(encodeNeighbourQuestion(question), 0)?.frames[0];
}

/** Flags, destination and destination MAC of an answer. */
function outside(frame: Uint8Array): readonly unknown[] {
  const ethernet = decodeEthernet(frame);
  assert.ok(typeof ethernet !== "string");
  const ip = decodeIpv6(ethernet.payload);
  assert.ok(typeof ip !== "string");
  return [ip.payload[4], ipFromBytes(ip.destination), macFromBytes(ethernet.destination)];
}

test("a solicitation is answered to the asker: router, solicited, override", () => {
  const frame = askFor(ROUTER.ip, "fe80::9");
  assert.ok(frame);
  const answer = decodeNeighbourAnswer(frame);
  assert.ok(typeof answer !== "string");
  assert.deepEqual([ipFromBytes(answer.ip), macFromBytes(answer.mac)], [ROUTER.ip, ROUTER.mac]);
  assert.deepEqual(outside(frame), [0xe0, "fe80::9", "02:00:00:00:00:09"]);
});

test("who is no router does not say so", () => {
  const frame = askFor(HOST.ip, "fe80::9");
  assert.ok(frame);
  assert.equal(outside(frame)[0], 0x60);
});

test("who asks without an address is told by all nodes' group, unsolicited (RFC 4861, 7.2.4)", () => {
  const frame = askFor(ROUTER.ip, "::");
  assert.ok(frame);
  assert.deepEqual(outside(frame), [0xa0, "ff02::1", "33:33:00:00:00:01"]);
});

test("ARP is answered to the asker", () => {
  const question = {
    sourceMac: guestMac,
    sourceIp: ipToBytes("10.0.1.5" as Ip),
    target: ipToBytes(GATEWAY.ip),
  };
  const frame = responder.answer(encodeArpQuestion(question), 0)?.frames[0];
  assert.ok(frame);
  const answer = decodeArpAnswer(frame);
  assert.ok(typeof answer !== "string");
  assert.deepEqual([ipFromBytes(answer.ip), macFromBytes(answer.mac)], [GATEWAY.ip, GATEWAY.mac]);
  const ethernet = decodeEthernet(frame);
  assert.ok(typeof ethernet !== "string");
  assert.deepEqual(ethernet.destination, guestMac);
});

test("other stations answer for themselves", () => {
  assert.equal(askFor("fe80::7" as Ip, "fe80::9"), undefined);
  const question = { sourceMac: guestMac, sourceIp: new Uint8Array(4), target: ipToBytes("10.0.1.6" as Ip) };
  assert.deepEqual(responder.answer(encodeArpQuestion(question), 0), {
    frames: [],
    refusal: "other-destination",
  });
});

test("an answer that another gives is no question", () => {
  const frame = askFor(ROUTER.ip, "fe80::9");
  assert.ok(frame);
  assert.equal(responder.answer(frame, 0), undefined);
});

test("whatever arrives, it does not throw, and answers with one frame at most", () => {
  const right = encodeNeighbourQuestion({
    sourceMac: guestMac,
    source: ipToBytes("fe80::9" as Ip),
    target: ipToBytes(ROUTER.ip),
  });
  const mutated = fc
    .array(fc.tuple(fc.nat(right.length - 1), fc.nat(255)), { maxLength: 6 })
    .map((changes) => {
      const frame = right.slice();
      for (const [at, value] of changes) frame[at] = value;
      return frame;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), mutated), (frame) => {
      assert.ok((responder.answer(frame, 0)?.frames.length ?? 0) <= 1);
    }),
  );
});
