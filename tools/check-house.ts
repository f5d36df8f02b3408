/**
 * House rules that no ready-made linter knows: shared code never asks for a binding by name, environment variables
 * are read in apps only, files stay small. Prints each breach as file:line and fails.
 */
import { globSync, readdirSync, readFileSync } from "node:fs";

const bindings = readdirSync("src/bindings", { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
/** KubeVirt's admission rules and manifest types name bindings because the manifests do. */
const MAY_NAME_BINDINGS = /^src\/(bindings|api)\//;
const MAX_CODE_LINES = 400;

const breaches: string[] = [];
for (const file of globSync("src/**/*.ts")) {
  if (file.endsWith(".test.ts") || file.endsWith(".gen.ts")) continue;
  const lines = readFileSync(file, "utf8").split("\n");
  const code = lines.filter((line) => !/^\s*(\/\/|\/\*|\*|$)/.test(line));
  if (code.length > MAX_CODE_LINES)
    breaches.push(`${file}:1 has ${code.length} lines of code (at most ${MAX_CODE_LINES})`);
  lines.forEach((line, index) => {
    const where = `${file}:${index + 1}`;
    const text = line.replace(/\/\/.*$|^\s*\*.*$/, "");
    const named = bindings.find((name) => text.includes(`"${name}"`) || text.includes(`'${name}'`));
    if (named !== undefined && !MAY_NAME_BINDINGS.test(file))
      breaches.push(`${where} names the binding ${named}`);
    if (text.includes("process.env") && !file.startsWith("src/apps/"))
      breaches.push(`${where} reads the environment`);
  });
}
if (breaches.length > 0) {
  console.error(breaches.join("\n"));
  process.exitCode = 1;
}
