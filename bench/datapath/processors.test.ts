import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { numbers, placed } from "./processors.ts";

const placeOf = (pid: number | string): string =>
  /Cpus_allowed_list:\s*(.*)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

test("taskset's lists are read", () => {
  assert.deepEqual(numbers("0-3,6"), [0, 1, 2, 3, 6]);
  assert.deepEqual(numbers("5"), [5]);
});

test("guests are on the last processor, apart from the rest, and put back afterwards", async (t) => {
  const guest = spawn("sleep", ["60"], { stdio: "ignore" });
  t.after(() => guest.kill("SIGKILL"));
  const pid = guest.pid ?? 0;
  const before = placeOf("self");
  const last = String(numbers(before).at(-1));
  const seen = await placed("apart", { guests: [pid], stations: [] }, async () => [
    placeOf(pid),
    placeOf("self"),
  ]);
  assert.equal(seen[0], last);
  if (before !== last) assert.ok(!numbers(seen[1] ?? "").includes(Number(last)));
  assert.deepEqual([placeOf(pid), placeOf("self")], [before, before]);
  const together = await placed("together", { guests: [pid], stations: [] }, async () => placeOf("self"));
  assert.equal(together, last);
});
