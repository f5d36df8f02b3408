/**
 * House rules that no ready-made linter knows: shared code never names a binding, environment variables are read in
 * apps only, files stay small. Prints each breach as file:line and fails.
 */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { namesOf } from "../src/api/binding-admission.ts";
import { KNOWN_BINDINGS } from "../src/bindings/admission.ts";
import { findBindingNames } from "./binding-names.ts";

const MAX_CODE_LINES = 400;
const folders = readdirSync("src/bindings", { withFileTypes: true }).filter((entry) => entry.isDirectory());
const names = new Set([
  ...folders.map(({ name }) => name),
  ...KNOWN_BINDINGS.flatMap((binding) => [
    binding.method,
    ...namesOf(binding),
    ...(binding.old === undefined ? [] : [binding.old.key]),
  ]),
]);

const breaches: string[] = [];
const naming = new Set<string>();
for (const file of globSync("src/**/*.ts")) {
  // Generated from KubeVirt's schema, which has the manifests' words.
  if (file.endsWith(".test.ts") || file.endsWith(".gen.ts")) continue;
  const text = readFileSync(file, "utf8");
  const lines = text.split("\n");
  const code = lines.filter((line) => !/^\s*(\/\/|\/\*|\*|$)/.test(line));
  if (code.length > MAX_CODE_LINES)
    breaches.push(`${file}:1 has ${code.length} lines of code (at most ${MAX_CODE_LINES})`);
  if (!file.startsWith("src/bindings/")) {
    for (const { line, name } of findBindingNames(file, text, [...names])) {
      naming.add(file);
      breaches.push(`${file}:${line} names the binding ${name}: ask a trait, or have its folder say it`);
    }
  }
  if (file.startsWith("src/apps/")) continue;
  lines.forEach((line, index) => {
    if (line.replace(/\/\/.*$|^\s*\*.*$/, "").includes("process.env"))
      breaches.push(`${file}:${index + 1} reads the environment`);
  });
}
console.log(
  `files outside src/bindings that name one of the ${KNOWN_BINDINGS.length} bindings: ${naming.size}`,
);
if (breaches.length > 0) {
  console.error(breaches.join("\n"));
  process.exitCode = 1;
}
