import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { indentQuotedLines } from "./quoted-lines.ts";
import { readYaml } from "./yaml-source.ts";

const nad = (config: string): string =>
  `kind: NetworkAttachmentDefinition\nspec:\n  config: ${config}\n  after: 1\n`;

function read(text: string): readonly unknown[] {
  const { documents, problems } = readYaml(text);
  assert.deepEqual(problems, [], text);
  return documents.map(({ value }) => value);
}

test("quoted text is read however little its lines are indented", () => {
  for (const indent of ["", " ", "  ", "   ", "      ", "\t"]) {
    const spec = { config: '{ "type": "bridge" }', after: 1 };
    const single = nad(`'{\n${indent}"type": "bridge"\n${indent}}'`);
    assert.deepEqual(read(single), [{ kind: "NetworkAttachmentDefinition", spec }], single);
    const double = nad(`"{\n${indent}\\"type\\": \\"bridge\\"\n\n${indent}}"`);
    const folded = { config: '{ "type": "bridge"\n}', after: 1 };
    assert.deepEqual(read(double), [{ kind: "NetworkAttachmentDefinition", spec: folded }], double);
  }
});

test("in a list, twice in a file, with quotes in the quotes, with Windows' line ends", () => {
  const two = `- '{\n"it''s": 1\n}'\n- b: "{\n\\"c\\":\n2}"\n`;
  const expected = [[`{ "it's": 1 }`, { b: '{ "c": 2}' }]];
  assert.deepEqual(read(two), expected);
  assert.deepEqual(read(two.replaceAll("\n", "\r\n")), expected);
  assert.deepEqual(read(`a: 1\n---\n${two}`), [{ a: 1 }, ...expected]);
});

test("places behind such text stay where they are in the file", () => {
  const { documents } = readYaml(nad("'{\n}'"));
  assert.deepEqual(documents[0]?.locate(["spec", "after"]), { line: 5, column: 3 });
});

test("a closing bracket under its key is no problem, as for kubectl", () => {
  assert.deepEqual(read("metadata: {\n  name: a\n}\nlist: [\n  1\n]\n"), [
    { metadata: { name: "a" }, list: [1] },
  ]);
});

test("a quote that is missing is an error still", () => {
  for (const text of ["a: 'b\nc: d\n", "a: 'b\nc: d\n---\ne: 'f'\n", "a: 'b\nc: 'd'\n"]) {
    const { problems } = readYaml(text);
    assert.equal(problems[0]?.code, "PT-MAN-2", text);
  }
});

test("text without such lines is left alone", () => {
  for (const text of [
    "",
    "a: 'b'\n",
    "a: |\n  'x\n  y\n",
    "a: it's\n",
    "# don't\na: 1\n",
    nad("'{\n      }'"),
  ]) {
    assert.equal(indentQuotedLines(text), undefined, text);
  }
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("'", '"', "a", ":", " ", "\n", "-", "{", "}", "#") }),
      (text) => {
        const repaired = indentQuotedLines(text);
        if (repaired === undefined) return;
        const bare = (lines: string): string => lines.replace(/^ +/gm, "");
        assert.equal(bare(repaired), bare(text), "only spaces at the beginnings of lines");
      },
    ),
  );
});
