/**
 * A copy of the project with its types blanked out, for the outer guest: under emulation Node takes ten times as long
 * to strip them itself. Every file keeps its path and its name; the loader hook beside it (`plain-types.mjs`) tells
 * Node that `.ts` files are plain there. Only what changed is written.
 *
 * usage: node tools/outer/strip.ts OUTDIR
 */
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { basename, dirname, join } from "node:path";

const [outdir] = process.argv.slice(2);
if (outdir === undefined) throw new Error("usage: strip.ts OUTDIR");

const wanted = globSync(["{src,test,bench,tools,examples,bin,deploy,docs}/**/*", "package.json"], {
  withFileTypes: true,
})
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));

for (const path of wanted) {
  const from = statSync(path, { throwIfNoEntry: false });
  if (from === undefined) continue; // deleted meanwhile
  const to = join(outdir, path);
  if (statSync(to, { throwIfNoEntry: false })?.mtimeMs === Math.trunc(from.mtimeMs)) continue;
  mkdirSync(dirname(to), { recursive: true });
  const half = `${to}.half`;
  copyFileSync(path, half);
  if (path.endsWith(".ts")) writeFileSync(half, stripTypeScriptTypes(readFileSync(path, "utf8")));
  utimesSync(half, from.atime, new Date(Math.trunc(from.mtimeMs)));
  renameSync(half, to);
}

const known = new Set(wanted);
for (const entry of globSync("{src,test,bench,tools,examples,bin,deploy,docs}/**/*", {
  cwd: outdir,
  withFileTypes: true,
})) {
  const path = join(entry.parentPath, entry.name).slice(outdir.length + 1);
  if (entry.isFile() && !known.has(path)) rmSync(join(outdir, path));
}

// Compiled here: the guest has no compiler. (By URL, since tests are another TypeScript project.)
const programs = await import(new URL("../../test/support/relay.ts", import.meta.url).href);
mkdirSync(join(outdir, ".cache"), { recursive: true });
for (const compiled of Object.values(programs) as (() => string)[]) {
  const program = compiled();
  const to = join(outdir, ".cache", basename(program));
  if (existsSync(to)) continue;
  copyFileSync(program, `${to}.half`);
  renameSync(`${to}.half`, to);
}
mkdirSync(join(outdir, "node_modules"), { recursive: true });
