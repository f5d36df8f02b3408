import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { releaseColdCode } from "./cold-code.ts";

/** Resident file pages, in kB. */
function residentFiles(): number {
  return Number(/^RssFile:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

test("code that is not running leaves memory, and runs again when it is called", () => {
  const before = residentFiles();
  releaseColdCode();
  const after = residentFiles();
  assert.ok(after < before - 8_000, `${before} kB before, ${after} kB after`);
  assert.equal(JSON.parse('{"a":[1,2]}').a.length, 2);
});
