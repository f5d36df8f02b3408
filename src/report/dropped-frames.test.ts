import assert from "node:assert/strict";
import { test } from "node:test";
import { droppedFrames } from "./dropped-frames.ts";

test("what was dropped is told by kind, and how it is lifted where it can be", () => {
  const counters = { foreign_dhcp: 2, spoofed_mac: 3, spoofed_ipv4: 0, asked_inside: 9, mine: 4 };
  const said = [
    "3 of the guest, under another MAC (spoofed_mac)",
    "2 to the guest, of other DHCP servers and routers (foreign_dhcp)",
  ];
  assert.deepEqual(droppedFrames(counters, false), said);
  const [hint] = droppedFrames(counters, true).slice(2);
  assert.match(hint ?? "", /podtap.io\/port-security/);
  assert.deepEqual(droppedFrames({ foreign_dhcp: 1 }, true).length, 1);
  assert.deepEqual(droppedFrames({}, true), []);
});
