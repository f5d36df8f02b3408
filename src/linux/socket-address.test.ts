import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ip } from "../base/ip.ts";
import { internetAddress, netlinkAddress, packetAddress } from "./socket-address.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("socket addresses have the C structures' layout", () => {
  assert.equal(hex(internetAddress("10.0.2.2" as Ip, 80)), "020000500a0002020000000000000000");
  assert.equal(
    hex(internetAddress("fd00::1" as Ip, 8080)),
    "0a001f9000000000fd00000000000000000000000000000100000000",
  );
  assert.equal(hex(packetAddress(258, 0x0800)), "1100080002010000000000000000000000000000");
  assert.equal(hex(netlinkAddress(1)), "100000000000000001000000");
});
