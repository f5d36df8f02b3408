/** libnftables in a process that has more files open than select(2) can tell apart. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { inNetns, openNetns } from "../../src/linux/netns.ts";
import { runNft } from "../../src/linux/nft.ts";
import { eventually, requires, testPod } from "../support/netns.ts";

test("rules are written with more than 1024 files open", requires("root", "nft"), async (t) => {
  const netns = openNetns(testPod(t).path);
  t.after(() => closeSync(netns));
  const nft = (script: string): string => inNetns(netns, () => runNft(script));
  nft("add table inet first");
  const files = Array.from({ length: 1100 }, () => openSync("/dev/null", "r"));
  t.after(() => files.forEach(closeSync));
  // Contexts are freed in the event loop, so this many at once are more than the numbers kept for them.
  let refused: unknown;
  for (let i = 0; i < 100 && refused === undefined; i++) {
    try {
      nft(`add table inet t${i}`);
    } catch (thrown) {
      refused = thrown;
    }
  }
  assert.equal((refused as { code?: string }).code, "PT-NFT-4");
  const listed = await eventually("descriptors are free again", () => nft("list tables"));
  assert.match(listed, /table inet first\ntable inet t0\n/);
});
