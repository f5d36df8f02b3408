/** Bundles the programs into dist/: one file a program and shared chunks, so that a command starts in milliseconds. */
import { rmSync } from "node:fs";
import { build } from "esbuild";
import { leanBuiltins } from "./lean-builtins.ts";

const outdir = process.argv[2] ?? "dist";
rmSync(outdir, { recursive: true, force: true });
await build({
  entryPoints: {
    cli: "src/apps/cli/main.ts",
    node: "src/apps/node/main.ts",
    launcher: "src/apps/launcher/main.ts",
    "net-worker": "src/apps/node/net-worker.ts",
    "dhcp-bench-server": "bench/dhcp-server.ts",
  },
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  outdir,
  sourcemap: true,
  // koffi finds its prebuilt binary relative to its own package.
  external: ["koffi"],
  banner: {
    js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);',
  },
  logLevel: "warning",
  plugins: [leanBuiltins],
});
