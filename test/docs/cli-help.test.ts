/** Help, reference and README say what is true: every example and every documented command line parses. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Command } from "commander";
import { buildProgram } from "../../src/apps/cli/program.ts";
import { examplesOf, renderReference } from "../support/cli-reference.ts";

const silent = { out: () => undefined, err: () => undefined };
const root = new URL("../../", import.meta.url);

function program(): Command {
  // Parsing is what is tested; nothing runs.
  return buildProgram(async () => undefined, silent);
}

test("every command has a description, described options and examples", () => {
  for (const command of program().commands) {
    assert.notEqual(command.description(), "", command.name());
    for (const option of command.options)
      assert.notEqual(option.description, "", `${command.name()} ${option.flags}`);
    assert.match(examplesOf(command), /^# .+\npodtap /, `${command.name()} has an example`);
  }
});

test("every example of every help text parses", async () => {
  const lines = program().commands.flatMap((command) => commandLines(examplesOf(command)));
  assert.ok(lines.length > 20);
  for (const line of lines) await parses(line);
});

test("every podtap command line in the README parses", async () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block ?? "");
  const lines = blocks.flatMap(commandLines);
  assert.ok(lines.length > 0);
  for (const line of lines) await parses(line);
});

test("docs/reference/cli.md is what the commands say about themselves", () => {
  const file = new URL("docs/reference/cli.md", root);
  const text = renderReference(program());
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(file, text);
  assert.equal(readFileSync(file, "utf8"), text, "make golden rewrites it");
});

async function parses(line: string): Promise<void> {
  try {
    await program().parseAsync(shellWords(line).slice(1), { from: "user" });
  } catch (thrown) {
    assert.fail(`${line}: ${(thrown as Error).message}`);
  }
}

function commandLines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/^(sudo )?((\.\/)?bin\/)?podtap/, "podtap").trim())
    .filter((line) => line.startsWith("podtap "));
}

/** Enough of a shell for documentation: quotes, comments, and everything from a pipe or redirection on left out. */
function shellWords(line: string): readonly string[] {
  const [command = ""] = line.split(/\s(?:#|\||<<<|>|&&)\s?/);
  return [...command.matchAll(/'([^']*)'|((?:[^\s']|'[^']*')+)/g)].map(
    ([, quoted, plain]) => quoted ?? (plain ?? "").replaceAll("'", ""),
  );
}
