import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  attribute,
  concat,
  decodeAck,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  nested,
  readText,
  readU32,
  textAttribute,
  u8Attribute,
  u32Attribute,
} from "./netlink.ts";

const bytes = fc.uint8Array({ maxLength: 64 });
const message = fc.record(
  {
    type: fc.integer({ min: 0, max: 0xffff }),
    flags: fc.integer({ min: 0, max: 0xffff }),
    sequence: fc.integer({ min: 0, max: 0xffffffff }),
    payload: bytes,
  },
  { noNullPrototype: true },
);

test("netlink messages in one datagram come back as they were", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      assert.deepEqual(decodeMessages(concat(...messages.map(encodeMessage))), messages);
    }),
  );
});

test("netlink attributes of distinct types come back as they were", () => {
  const entries = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), bytes), {
    selector: ([type]) => type,
  });
  fc.assert(
    fc.property(entries, (list) => {
      const encoded = concat(...list.map(([type, value]) => attribute(type, value)));
      assert.equal(encoded.length % 4, 0);
      assert.deepEqual([...decodeAttributes(encoded)], list);
    }),
  );
});

test("rubbish is never read past its end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (rubbish) => {
      decodeAttributes(rubbish);
      try {
        decodeMessages(rubbish);
      } catch (thrown) {
        assert.ok(thrown instanceof RangeError);
      }
    }),
  );
});

test("a netlink message has the kernel's layout", () => {
  const payload = concat(u8Attribute(1, 7), nested(18, textAttribute(1, "tun")), u32Attribute(4, 1500));
  assert.equal(
    hex(encodeMessage({ type: 16, flags: NLM_F_REQUEST | NLM_F_ACK, sequence: 9, payload })),
    [
      "2c000000 1000 0500 09000000 00000000",
      "0500 0100 07000000",
      "0c00 1280 0800 0100 74756e00",
      "0800 0400 dc050000",
    ]
      .join("")
      .replaceAll(" ", ""),
  );
});

test("a message cut short is an error, not half a message", () => {
  const whole = encodeMessage({ type: 1, flags: 0, sequence: 1, payload: new Uint8Array(20) });
  assert.throws(() => decodeMessages(whole.subarray(0, 30)), RangeError);
  assert.throws(() => decodeMessages(whole.subarray(0, 8)), RangeError);
});

test("an ack carries the kernel's words", () => {
  const said = textAttribute(1, "mtu greater than device maximum");
  const header = new Uint8Array(16);
  const capped = { type: NLMSG_ERROR, flags: 0x300, sequence: 1, payload: concat(int(-22), header, said) };
  assert.deepEqual(decodeAck(capped), { errno: 22, said: "mtu greater than device maximum" });
  // Uncapped: the whole request is repeated, 24 bytes by its own header.
  const request = encodeMessage({ type: 16, flags: 5, sequence: 1, payload: new Uint8Array(8) });
  const whole = { ...capped, flags: 0x200, payload: concat(int(-17), request, textAttribute(1, "there")) };
  assert.deepEqual(decodeAck(whole), { errno: 17, said: "there" });
  const done = {
    type: NLMSG_DONE,
    flags: 0x202,
    sequence: 1,
    payload: concat(int(-1), textAttribute(1, "no")),
  };
  assert.deepEqual(decodeAck(done), { errno: 1, said: "no" });
  assert.deepEqual(decodeAck({ ...capped, flags: 0x100, payload: concat(int(0), header) }), { errno: 0 });
  assert.deepEqual(decodeAck({ type: NLMSG_DONE, flags: 2, sequence: 1, payload: int(0) }), { errno: 0 });
});

test("texts end at their zero, numbers need their bytes", () => {
  assert.equal(readText(Uint8Array.from([101, 116, 104, 48, 0, 9])), "eth0");
  assert.equal(readText(Uint8Array.from([101, 116])), "et");
  assert.equal(readU32(Uint8Array.from([1, 0, 0])), undefined);
  assert.equal(readU32(Uint8Array.from([0xff, 0xff, 0xff, 0xff])), 0xffffffff);
});

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString("hex");
}
