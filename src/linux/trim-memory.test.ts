import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

test("a process goes on with less resident memory", () => {
  const program = `
    import { readFileSync } from "node:fs";
    import { trimMemory } from ${JSON.stringify(new URL("./trim-memory.ts", import.meta.url).href)};
    const rss = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    const before = rss();
    const count = trimMemory();
    const after = rss();
    console.log(JSON.stringify({ count, before, after, alive: [3, 1, 2].toSorted().join() }));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  const { count, before, after, alive } = JSON.parse(output);
  assert.ok(count > 5, `${count} mappings`);
  assert.ok(after < before * 0.8, `${before} to ${after} KiB`);
  assert.equal(alive, "1,2,3");
});
