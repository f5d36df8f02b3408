/**
 * An esbuild plugin: programs take from Node's own modules what they use, and no more.
 *
 * `import … from "node:http"` makes Node read every export of that module, and some are getters that load whole
 * subsystems: `http.WebSocket` loads undici and http2, `process.stdin` opens a stream, `util.diff` and `fs.promises`
 * their own trees. Together that was more than half of what `podtap get` did. `process.getBuiltinModule` gives the
 * module without reading it.
 */
import { getBuiltinModule } from "node:process";
import type { Plugin } from "esbuild";

export const leanBuiltins: Plugin = {
  name: "lean-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, importer, kind }) => {
      // `require` does not read the exports.
      if (kind !== "import-statement") return undefined;
      // commander starts programs only for commands that are files of their own, which podtap has none of.
      const asleep = path === "node:child_process" && importer.includes("/commander/");
      return { path, namespace: asleep ? "sleeping-builtin" : "lean-builtin", sideEffects: false };
    });
    onLoad({ filter: /./, namespace: "lean-builtin" }, ({ path }) => {
      const names = Object.keys(getBuiltinModule(path) ?? {}).filter((name) =>
        /^[A-Za-z_$][\w$]*$/.test(name),
      );
      const exports = names
        .filter((name) => name !== "default")
        .map(
          (name) =>
            `const $${name} = /* @__PURE__ */ (() => all.${name})();\nexport { $${name} as ${name} };`,
        );
      return {
        contents: `const all = process.getBuiltinModule("${path}");\nexport default all;\n${exports.join("\n")}\n`,
      };
    });
    onLoad({ filter: /./, namespace: "sleeping-builtin" }, ({ path }) => ({
      contents: `export default new Proxy({}, { get: (_, name) => process.getBuiltinModule("${path}")[name] });`,
    }));
  },
};
