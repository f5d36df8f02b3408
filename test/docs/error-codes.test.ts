/** docs/reference/errors.md lists every code of the source, and no other. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);
const CODE = /\bPT-[A-Z]+-\d+\b/g;
/** Codes made at run time: `PT-KERNEL-${errno}`; in the page `PT-KERNEL-\<errno>`. */
const FAMILY = /\bPT-([A-Z]+)-\$\{/g;

const sources = globSync(["src/**/*.ts", "bench/**/*.ts"], { cwd: ROOT })
  .filter((file) => !file.endsWith(".test.ts"))
  .map((file) => readFileSync(new URL(file, ROOT), "utf8"));
const page = readFileSync(new URL("docs/reference/errors.md", ROOT), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("| PT-"));
const cells = rows.map((row) => row.split(/(?<!\\)\|/).map((cell) => cell.trim()));

const inSource = new Set(sources.flatMap((text) => text.match(CODE) ?? []));
const families = new Set(
  sources.flatMap((text) => [...text.matchAll(FAMILY)].map((match) => match[1] ?? "")),
);
const listed = cells.map((row) => row[1] ?? "");

function familyOf(code: string): string {
  return code.split("-")[1] ?? "";
}

test("every code in the source is in docs/reference/errors.md", () => {
  const missing = [...inSource].filter((code) => !families.has(familyOf(code)) && !listed.includes(code));
  assert.deepEqual(missing.sort(), [], "add a row: | code | meaning | what to do |");
  for (const family of families) {
    assert.ok(
      listed.some((code) => code.startsWith(`PT-${family}-\\<`)),
      `a row PT-${family}-\\<…> is missing`,
    );
  }
});

test("every code in docs/reference/errors.md is in the source", () => {
  const gone = listed.filter((code) => !code.includes("\\<") && !inSource.has(code));
  assert.deepEqual(gone, [], "remove the row; do not give the number to something else");
});

test("every row has a meaning and an advice, once", () => {
  assert.equal(new Set(listed).size, listed.length, "a code is listed twice");
  for (const [, code = "", meaning = "", advice = "", rest] of cells) {
    assert.ok(meaning.length > 5 && advice.length > 2 && rest === "", code);
  }
});
