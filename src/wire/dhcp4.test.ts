import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CAPTURES } from "../../test/support/captures.ts";
import type { Cidr, Ip } from "../base/ip.ts";
import { BOOTREQUEST, type Dhcp4Message, decodeDhcp4, encodeDhcp4, encodeOptions } from "./dhcp4.ts";
import {
  CLIENT_ID,
  DISCOVER,
  decodeClasslessRoutes,
  encodeClasslessRoute,
  encodedNames,
  HOST_NAME,
  MAX_MESSAGE_SIZE,
  MESSAGE_TYPE,
  OVERLOAD,
  PARAMETER_LIST,
  piecesOf,
  RAPID_COMMIT,
  REQUESTED_ADDRESS,
  SERVER_ID,
} from "./dhcp4-options.ts";
import { decodeDnsNames } from "./dns-names.ts";

/** Records as literals make them: deepEqual looks at the prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const code = fc.integer({ min: 1, max: 254 }).filter((value) => value !== OVERLOAD);
const message: fc.Arbitrary<Dhcp4Message> = plainRecord({
  op: u8,
  htype: u8,
  hlen: fc.integer({ min: 0, max: 16 }),
  hops: u8,
  xid: u32,
  secs: u16,
  flags: u16,
  ciaddr: u32,
  yiaddr: u32,
  siaddr: u32,
  giaddr: u32,
  chaddr: bytes(16),
  sname: bytes(64),
  file: bytes(128),
  options: fc
    .array(fc.tuple(code, fc.uint8Array({ maxLength: 700 })), { maxLength: 8 })
    .map((entries) => new Map(entries)),
});

function decoded(payload: Uint8Array): Dhcp4Message {
  const result = decodeDhcp4(payload);
  assert.ok(typeof result !== "string", String(result));
  return result;
}

function captured(name: string): Dhcp4Message {
  return decoded(CAPTURES.get(name)!.subarray(42));
}

test("what is encoded reads back, values over 255 bytes too", () => {
  fc.assert(
    fc.property(message, (value) => {
      assert.deepEqual(decoded(encodeDhcp4(value)), value);
    }),
  );
});

test("random bytes, with and without a plausible header, are decoded or refused", () => {
  const plausible = fc.uint8Array({ maxLength: 400 }).map((tail) => {
    const whole = new Uint8Array(240 + tail.length);
    whole.set([1, 1, 6], 0);
    whole.set([0x63, 0x82, 0x53, 0x63], 236);
    whole.set(tail, 240);
    return whole;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), plausible), (input) => {
      const result = decodeDhcp4(input);
      assert.ok(typeof result === "object" || ["truncated", "bad-header", "bad-length"].includes(result));
    }),
  );
});

test("every captured client message survives a round trip of decoding and encoding", () => {
  for (const [name, frame] of CAPTURES) {
    if (frame[12] !== 0x08) continue;
    const first = captured(name);
    assert.equal(first.op, BOOTREQUEST, name);
    assert.deepEqual(decoded(encodeDhcp4(first)), first, name);
  }
});

test("udhcpc's DISCOVER says what tcpdump read in it", () => {
  const discover = captured("udhcpc-discover");
  assert.deepEqual(discover.options.get(MESSAGE_TYPE), Uint8Array.of(DISCOVER));
  assert.deepEqual(discover.options.get(MAX_MESSAGE_SIZE), Uint8Array.of(2, 64));
  assert.deepEqual(discover.options.get(PARAMETER_LIST), Uint8Array.of(1, 3, 6, 12, 15, 28, 42));
  assert.deepEqual(discover.options.get(CLIENT_ID), Uint8Array.of(1, 0x52, 0x54, 0, 0x12, 0x34, 0x56));
  assert.ok(captured("dhcpcd-discover").options.has(RAPID_COMMIT));
  assert.deepEqual(captured("dhclient-reboot").options.get(REQUESTED_ADDRESS), Uint8Array.of(10, 0, 2, 2));
  assert.ok(!captured("dhclient-reboot").options.has(SERVER_ID));
});

test("an option in pieces is one value (RFC 3396)", () => {
  const empty = captured("udhcpc-discover");
  const long = new Uint8Array(300).fill(7);
  const wire = encodeOptions([[HOST_NAME, long]]);
  assert.equal(wire.length, 304);
  assert.deepEqual([wire[0], wire[1], wire[257], wire[258]], [HOST_NAME, 255, HOST_NAME, 45]);
  const options = new Map([[HOST_NAME, long]]);
  assert.deepEqual(decoded(encodeDhcp4({ ...empty, options })).options.get(HOST_NAME), long);
});

test("overloaded fields hold options, file before sname", () => {
  const base = captured("udhcpc-discover");
  const file = new Uint8Array(128);
  file.set([HOST_NAME, 2, 0x63, 0x64, 255]);
  const sname = new Uint8Array(64);
  sname.set([HOST_NAME, 2, 0x65, 0x66, 255]);
  const of = (fields: number) =>
    decodeDhcp4(
      encodeDhcp4({
        ...base,
        file,
        sname,
        options: new Map([
          [OVERLOAD, Uint8Array.of(fields)],
          [HOST_NAME, Uint8Array.of(0x61, 0x62)],
        ]),
      }),
    );
  const host = (fields: number) => {
    const result = of(fields);
    return typeof result === "string" ? result : Buffer.from(result.options.get(HOST_NAME)!).toString();
  };
  assert.deepEqual([host(1), host(2), host(3)], ["abcd", "abef", "abcdef"]);
  assert.deepEqual([of(0), of(4)], ["bad-length", "bad-length"]);
});

test("truncated options are refused, a missing end is not", () => {
  const payload = CAPTURES.get("udhcpc-discover")!.slice(42);
  assert.equal(decodeDhcp4(payload.subarray(0, 239)), "truncated");
  assert.equal(decodeDhcp4(payload.subarray(0, 242)), "truncated");
  assert.equal(typeof decodeDhcp4(payload.subarray(0, 243)), "object");
  const longAddress = payload.slice();
  longAddress[2] = 17;
  assert.equal(decodeDhcp4(longAddress), "bad-length");
  const wrongCookie = payload.slice();
  wrongCookie[236] = 0;
  assert.equal(decodeDhcp4(wrongCookie), "bad-header");
});

test("classless routes are written as RFC 3442 shows them", () => {
  const cases = [
    ["0.0.0.0/0", "10.0.0.1", [0, 10, 0, 0, 1]],
    ["10.0.0.0/8", "10.0.0.1", [8, 10, 10, 0, 0, 1]],
    ["10.17.0.0/16", "10.0.0.1", [16, 10, 17, 10, 0, 0, 1]],
    ["10.27.129.0/24", "10.0.0.1", [24, 10, 27, 129, 10, 0, 0, 1]],
    ["10.229.0.128/25", "10.0.0.1", [25, 10, 229, 0, 128, 10, 0, 0, 1]],
    ["169.254.1.1/32", undefined, [32, 169, 254, 1, 1, 0, 0, 0, 0]],
  ] as const;
  for (const [destination, gateway, wire] of cases) {
    const route = { destination: destination as Cidr, ...(gateway && { gateway: gateway as Ip }) };
    assert.deepEqual(encodeClasslessRoute(route), Uint8Array.from(wire), destination);
  }
  const all = decodeClasslessRoutes(Uint8Array.from(cases.flatMap(([, , wire]) => [...wire])));
  assert.equal(all?.length, cases.length);
  assert.equal(decodeClasslessRoutes(Uint8Array.of(33, 0, 0, 0, 0, 0, 0, 0, 0, 0)), undefined);
  assert.equal(decodeClasslessRoutes(Uint8Array.of(8, 10, 10, 0)), undefined);
});

test("each piece of a long search list is whole names by itself", () => {
  const domains = Array.from({ length: 20 }, (_, i) => `team-${i}.department.example.com`);
  const pieces = piecesOf(encodedNames(domains));
  assert.ok(pieces.length > 2);
  assert.ok(pieces.every((piece) => piece.length <= 255));
  assert.deepEqual(
    pieces.flatMap((piece) => decodeDnsNames(piece)),
    domains,
  );
});
