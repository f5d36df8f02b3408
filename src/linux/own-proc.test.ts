import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ownProc } from "./own-proc.ts";

test("podtap's own procfs tells what /proc tells, and renewing it leaks no descriptor", async () => {
  const key = "sys/net/ipv4/ip_default_ttl";
  const expected = readFileSync(`/proc/${key}`, "utf8");
  assert.equal(readFileSync(`${ownProc()}/${key}`, "utf8"), expected);
  const before = readdirSync("/proc/self/fd").length;
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const folder = ownProc();
    seen.add(folder);
    assert.equal(readFileSync(`${folder}/${key}`, "utf8"), expected);
    if (i % 100 === 0) await turn();
  }
  await turn();
  assert.equal(readdirSync("/proc/self/fd").length, before);
  // Without root the kernel refuses one of one's own, and /proc serves.
  if (process.getuid?.() === 0) assert.ok(seen.size > 1 && !seen.has("/proc"), [...seen].join());
});
