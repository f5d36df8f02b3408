/**
 * Bundles the programs into dist/: one file a program and shared chunks, so that a command starts in milliseconds.
 * usage: node tools/build.ts [outdir=dist]
 *
 * A daemon may run out of this folder and another build may be under way: every file appears whole, by rename, a
 * program after the chunks that it names, and what former builds left is kept for a day.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { build } from "esbuild";
import { leanBuiltins } from "./lean-builtins.ts";

const outdir = process.argv[2] ?? "dist";
const KEEP_MS = 24 * 60 * 60 * 1000;
const PROGRAMS = {
  cli: "src/apps/cli/main.ts",
  node: "src/apps/node/main.ts",
  launcher: "src/apps/launcher/main.ts",
  "net-worker": "src/apps/node/net-worker.ts",
  "dhcp-bench-server": "bench/dhcp-server.ts",
};

const { outputFiles } = await build({
  entryPoints: PROGRAMS,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  outdir,
  write: false,
  sourcemap: true,
  // koffi finds its prebuilt binary relative to its own package.
  external: ["koffi"],
  banner: {
    js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);',
  },
  logLevel: "warning",
  plugins: [leanBuiltins],
});

const isProgram = (path: string): number => Number(Object.hasOwn(PROGRAMS, basename(path, ".js")));
mkdirSync(outdir, { recursive: true });
for (const { path, contents } of outputFiles.toSorted((a, b) => isProgram(a.path) - isProgram(b.path))) {
  const half = `${path}.${process.pid}`;
  writeFileSync(half, contents);
  renameSync(half, path);
}
const written = new Set(outputFiles.map(({ path }) => path));
for (const name of readdirSync(outdir)) {
  const path = resolve(outdir, name);
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (made !== undefined && !written.has(path) && Date.now() - made > KEEP_MS) rmSync(path, { force: true });
}
