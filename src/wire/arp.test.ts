import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeArpAnswer, encodeArpQuestion } from "./arp.ts";

const ASKER = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ANSWERER = Uint8Array.of(2, 0, 0, 0, 0, 9);

test("an ARP question has the RFC's layout", () => {
  const frame = encodeArpQuestion({
    sourceMac: ASKER,
    sourceIp: Uint8Array.of(10, 0, 0, 5),
    target: Uint8Array.of(10, 0, 0, 1),
  });
  assert.equal(
    Buffer.from(frame).toString("hex"),
    [
      "ffffffffffff 020000000001 0806",
      "0001 0800 06 04 0001",
      "020000000001 0a000005",
      "000000000000 0a000001",
    ]
      .join("")
      .replaceAll(" ", ""),
  );
});

test("an ARP answer tells who has the address, a question tells nothing", () => {
  const answer = answerTo(encodeArpQuestion({ sourceMac: ASKER, sourceIp: ip(5), target: ip(1) }));
  assert.deepEqual(decodeArpAnswer(answer), { ip: ip(1), mac: ANSWERER });
  // Short frames come padded.
  assert.deepEqual(decodeArpAnswer(Uint8Array.from([...answer, ...new Uint8Array(18)])), {
    ip: ip(1),
    mac: ANSWERER,
  });
  const question = encodeArpQuestion({ sourceMac: ASKER, sourceIp: ip(5), target: ip(1) });
  assert.equal(decodeArpAnswer(question), "other-protocol");
  assert.equal(decodeArpAnswer(answer.subarray(0, 41)), "truncated");
  const token = Uint8Array.from(answer);
  token[15] = 6;
  assert.equal(decodeArpAnswer(token), "bad-header");
});

test("rubbish is no ARP answer", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.equal(typeof decodeArpAnswer(bytes), "string");
    }),
  );
});

function ip(last: number): Uint8Array {
  return Uint8Array.of(10, 0, 0, last);
}

function answerTo(question: Uint8Array): Uint8Array {
  const frame = Uint8Array.from(question);
  frame.set(ASKER, 0);
  frame.set(ANSWERER, 6);
  frame[21] = 2;
  frame.set(ANSWERER, 22);
  frame.set(question.subarray(38, 42), 28);
  frame.set(question.subarray(22, 32), 32);
  return frame;
}
