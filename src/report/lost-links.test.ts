import assert from "node:assert/strict";
import { test } from "node:test";
import { GUEST_LINK_LOST, lostLinkEvents, withLostLinks } from "./lost-links.ts";

const LAN = { nic: "lan", link: "tap1" };

test("the condition names each NIC that leads nowhere, and goes with a new guest", () => {
  assert.deepEqual(withLostLinks([], [], "t1"), []);
  const [condition] = withLostLinks([], [LAN, { nic: "default", link: "tap0" }], "t1");
  assert.equal(condition?.type, GUEST_LINK_LOST);
  assert.match(condition?.message ?? "", /NIC lan .* tap1 .*; NIC default .* tap0 /);
  assert.deepEqual(withLostLinks([condition!], [], "t2"), []);
});

test("a loss is one event", () => {
  assert.deepEqual(
    lostLinkEvents([], [LAN]).map(({ reason }) => reason),
    [GUEST_LINK_LOST],
  );
  assert.deepEqual(lostLinkEvents([LAN], [LAN]), []);
});
