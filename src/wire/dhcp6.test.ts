import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CAPTURES } from "../../test/support/captures.ts";
import {
  CONFIRM,
  type Dhcp6Option,
  decodeDhcp6,
  decodeIa,
  decodeIaAddress,
  decodeOptions6,
  decodeStatus,
  duidLinkLayer,
  encodeDhcp6,
  encodeIa,
  encodeIaAddress,
  encodeStatus,
  findOption6,
  INFORMATION_REQUEST,
  OPT_CLIENT_ID,
  OPT_IA_ADDRESS,
  OPT_IA_NA,
  OPT_RAPID_COMMIT,
  RELAY_FORW,
  RELEASE6,
  REQUEST6,
  SOLICIT,
  STATUS_NO_BINDING,
} from "./dhcp6.ts";

/** Records as literals make them: deepEqual looks at the prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const options: fc.Arbitrary<readonly Dhcp6Option[]> = fc.array(
  plainRecord({ code: u16, value: fc.uint8Array({ maxLength: 100 }) }),
  { maxLength: 6 },
);

test("messages, associations, addresses and statuses read back", () => {
  const message = plainRecord({
    type: fc.integer({ min: 1, max: 11 }),
    transactionId: fc.integer({ min: 0, max: 0xffffff }),
    options,
  });
  fc.assert(fc.property(message, (value) => assert.deepEqual(decodeDhcp6(encodeDhcp6(value)), value)));
  const ia = plainRecord({ iaid: u32, t1: u32, t2: u32, options });
  fc.assert(fc.property(ia, (value) => assert.deepEqual(decodeIa(encodeIa(value)), value)));
  const address = plainRecord({
    address: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    preferredSeconds: u32,
    validSeconds: u32,
    options,
  });
  fc.assert(
    fc.property(address, (value) => assert.deepEqual(decodeIaAddress(encodeIaAddress(value)), value)),
  );
  assert.deepEqual(decodeStatus(encodeStatus(STATUS_NO_BINDING, "nö")), {
    code: STATUS_NO_BINDING,
    message: "nö",
  });
});

test("random bytes are decoded or refused at every level", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const decode of [decodeDhcp6, decodeIa, decodeIaAddress, decodeOptions6, decodeStatus]) {
        const result = decode(bytes);
        assert.ok(typeof result === "object" || ["truncated", "other-protocol"].includes(result));
      }
    }),
  );
});

test("captured client messages are what their names say", () => {
  const expected = [
    ["dhclient6-solicit", SOLICIT],
    ["dhclient6-request", REQUEST6],
    ["dhclient6-confirm", CONFIRM],
    ["dhclient6-release", RELEASE6],
    ["dhclient6-information-request", INFORMATION_REQUEST],
    ["dhcpcd6-solicit", SOLICIT],
    ["networkd6-solicit", SOLICIT],
  ] as const;
  for (const [name, type] of expected) {
    const payload = CAPTURES.get(name)!.subarray(62);
    const message = decodeDhcp6(payload);
    assert.ok(typeof message === "object", name);
    assert.equal(message.type, type, name);
    assert.ok(findOption6(message.options, OPT_CLIENT_ID), name);
    assert.deepEqual(encodeDhcp6(message), payload, name);
  }
});

test("the association of dhclient's REQUEST holds the address it was offered", () => {
  const message = decodeDhcp6(CAPTURES.get("dhclient6-request")!.subarray(62));
  assert.ok(typeof message === "object");
  const ia = decodeIa(findOption6(message.options, OPT_IA_NA)!);
  assert.ok(typeof ia === "object");
  assert.equal(ia.iaid, 0x00123456);
  const address = decodeIaAddress(findOption6(ia.options, OPT_IA_ADDRESS)!);
  assert.ok(typeof address === "object");
  assert.equal(Buffer.from(address.address).toString("hex"), "fd100000000200000000000000000002");
  const solicit = decodeDhcp6(CAPTURES.get("dhcpcd6-solicit")!.subarray(62));
  assert.ok(typeof solicit === "object");
  assert.ok(findOption6(solicit.options, OPT_RAPID_COMMIT));
});

test("relay messages have another header and are refused", () => {
  assert.equal(decodeDhcp6(Uint8Array.of(RELAY_FORW, 0, 0, 0)), "other-protocol");
});

test("the server's DUID is KubeVirt's for the bridge's MAC", () => {
  const duid = duidLinkLayer(Uint8Array.of(2, 0, 0, 0, 0, 0));
  assert.deepEqual(duid, Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 0));
});
