/** docs/bindings/README.md introduces every binding that podtap wires, and its links lead somewhere. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { registry } from "../../src/bindings/index.ts";

const file = new URL("../../docs/bindings/README.md", import.meta.url);
const page = readFileSync(file, "utf8");

for (const { bindingName, spelling } of registry.all) {
  test(`${bindingName} has a line with its spelling and its page, and rows in the matrix`, () => {
    const line = page.split("\n").find((one) => one.startsWith(`| [${bindingName}](${bindingName}.md) |`));
    assert.ok(line, "a line that links its page");
    const spelt = JSON.stringify(spelling).replaceAll('"', "").replaceAll(":", ": ").slice(1, -1);
    assert.ok(line.includes(`\`${spelt}\``), spelt);
    assert.match(page, new RegExp(`^\\| ${bindingName}, `, "m"));
  });
}

test("its links lead to files and headings that are there", () => {
  const links = [...page.matchAll(/\]\(([^)#:]+)(?:#([^)]+))?\)/g)];
  assert.ok(links.length > registry.all.length);
  for (const [, path = "", heading] of links) {
    const target = new URL(path, file);
    assert.ok(existsSync(target), path);
    if (heading === undefined) continue;
    const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) =>
      slug(text),
    );
    assert.ok(headings.includes(heading), `${path}#${heading}`);
  }
});

/** As GitHub makes them. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}
