/** ARCHITECTURE.md tells the truth: every folder of src/ is in its table, every file it names is there. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");

test("every folder of src/ has its row", () => {
  const rows = new Set([...text.matchAll(/^\| `src\/([\w-]+)` \|/gm)].map(([, folder]) => folder));
  const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  assert.deepEqual(
    folders.filter((name) => !rows.has(name)),
    [],
  );
});

test("every file that is named is there", () => {
  const named = [...text.matchAll(/`([\w./-]+\.(?:ts|json|cjs|md))`/g)].map(([, path]) => path ?? "");
  assert.ok(named.length > 20);
  const missing = named.filter((path) => {
    const row = text.split("\n").find((line) => line.startsWith("| `src/") && line.includes(`\`${path}\``));
    const folder = row === undefined ? "" : (/^\| `([\w/-]+)`/.exec(row)?.[1] ?? "");
    return ![path, join("src", path), join(folder, path)].some((place) => existsSync(join(ROOT, place)));
  });
  assert.deepEqual(missing, []);
});
