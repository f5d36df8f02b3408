/** Filters as Linux 6.18 listed them, and what podtap sends to make them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAttributes } from "./netlink.ts";
import { decodeFilter, ETH_P_ALL, encodeClsact, encodeFilter, encodeFilterPlace } from "./netlink-tc.ts";

const HEAD = "000000000100000000000000f2ffffff00037870080001006270660008000b0000000000";
const BPF =
  "000000000100000001000000f2ffffff00037870080001006270660008000b00000000005000020026000700706f6474617020312064316230303062343264323536346664393163656166353100000008000b00e90200000c000a0084e597e88c77def808000800010000000800090008000000";
const HASH_TABLE =
  "000000000100000000000080f2ffffff08007470080001007533320008000b00000000000c0002000800040001000000";
const EXCEPTION =
  "000000000100000000080080f2ffffff08007470080001007533320008000b0000000000700002005400050001000400000000000000000000000000ff0000004500000000000000000000001fff0000000000000600000000000000ff000000110000000900000000000000ffff00000044000016000000000000000800020000000080080001000100747008000b0008000000";
const CATCH_ALL =
  "000000000100000000081080f2ffffff00037770080001007533320008000b0000000000fc0002002400050001000100000000000000000000000000000000000000000000000000000000000800020000001080080001000100747008000b0008000000bc000700b80001000b0001006d69727265640000440004001400010000000000000000000000000000000000140007000000000000000000000000000000000018000300000000000000000000000000000000000000000012000600ba19eb83dce75d1e2b6456140002000008000a0000000000480002002000020001000000000000000400000001000000010000000100000001000000240001000000000000000000000000000000000000000000000000000000000000000000";

test("an eBPF filter has its name, a u32 filter its class, and an action its target and cookie", () => {
  assert.deepEqual(decodeFilter(bytes(BPF)), {
    link: 1,
    handle: 1,
    priority: 0x7078,
    protocol: ETH_P_ALL,
    kind: "bpf",
    name: "podtap 1 d1b000b42d2564fd91ceaf51",
  });
  const u32 = { link: 1, kind: "u32", classid: 0x70740001 };
  assert.deepEqual(decodeFilter(bytes(EXCEPTION)), {
    ...u32,
    handle: 0x80000800,
    priority: 0x7074,
    protocol: 0x0800,
  });
  const action = { to: 1, cookie: bytes("ba19eb83dce75d1e2b6456140002") };
  assert.deepEqual(decodeFilter(bytes(CATCH_ALL)), {
    ...u32,
    handle: 0x80100800,
    priority: 0x7077,
    protocol: ETH_P_ALL,
    action,
  });
});

test("heads of priorities and hash tables are no filters; what is cut short is none either", () => {
  assert.equal(decodeFilter(bytes(HEAD)), undefined);
  assert.equal(decodeFilter(bytes(HASH_TABLE)), undefined);
  assert.equal(decodeFilter(bytes(BPF).subarray(0, 24)), undefined);
});

test("a u32 filter's selector is sent as the kernel keeps it", () => {
  const place = { link: 1, handle: 0, priority: 0x7074, protocol: 0x0800 };
  const keys = [
    { at: 0, mask: 0xff000000, value: 0x45000000 },
    { at: 6, mask: 0x1fff0000, value: 0 },
    { at: 9, mask: 0xff000000, value: 0x11000000 },
    { at: 22, mask: 0xffff0000, value: 0x00440000 },
  ];
  const sent = encodeFilter(place, { kind: "u32", classid: 0x70740001, keys });
  const selectorOf = (payload: Uint8Array): Uint8Array | undefined =>
    decodeAttributes(decodeAttributes(payload.subarray(20)).get(2) ?? new Uint8Array()).get(5);
  assert.deepEqual(selectorOf(sent), selectorOf(bytes(EXCEPTION)));
});

test("a filter's place alone deletes it; clsact hangs at the link's ingress", () => {
  const place = { link: 1, handle: 1, priority: 0x7078, protocol: ETH_P_ALL };
  assert.equal(hex(encodeFilterPlace(place)), BPF.slice(0, 40));
  assert.equal(hex(encodeClsact(7)), "00000000070000000000fffff1ffffff000000000b000100636c736163740000");
});

test("what is encoded is decoded again", () => {
  const place = { link: 3, handle: 0x800, priority: 12, protocol: 0x86dd };
  const action = { to: 9, cookie: Uint8Array.of(1, 2, 3) };
  const matchall = encodeFilter(place, { kind: "matchall", classid: 5, action });
  assert.deepEqual(decodeFilter(matchall), { ...place, kind: "matchall", classid: 5, action });
});

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function hex(payload: Uint8Array): string {
  return Buffer.from(payload).toString("hex");
}
