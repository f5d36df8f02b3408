import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { XMLParser } from "fast-xml-parser";
import { element, renderXml } from "./xml-element.ts";

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  trimValues: false,
  parseTagValue: false,
  parseAttributeValue: false,
  alwaysCreateTextNode: true,
});
const xmlText = fc
  .string({ unit: "grapheme", minLength: 1 })
  .filter((text) => !/[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text));

test("whatever text goes in, the same comes out and nothing else", () => {
  fc.assert(
    fc.property(xmlText, xmlText, (attribute, text) => {
      const { "#text": _end, ...parsed } = parser.parse(renderXml(element("a", { b: attribute }, text)));
      assert.deepEqual(parsed, { a: { "@b": attribute, "#text": text } });
    }),
  );
});

test("markup in a value stays text", () => {
  const xml = renderXml(element("cmdline", {}, "\"><devices/><!-- ]]> &amp; '"));
  assert.equal(xml, "<cmdline>&quot;&gt;&lt;devices/&gt;&lt;!-- ]]&gt; &amp;amp; &apos;</cmdline>\n");
});

test("what XML cannot carry unchanged is refused by its code point", () => {
  for (const [text, point] of [
    ["a\nb", "U+000A"],
    ["a\u0000", "U+0000"],
    ["\ud800", "U+D800"],
    ["\uffff", "U+FFFF"],
  ] as const) {
    assert.throws(
      () => renderXml(element("a", {}, text)),
      ({ code, message }: { code: string; message: string }) =>
        code === "PT-DOMAIN-1" && message.includes(point),
    );
  }
});

test("optional parts are left out", () => {
  assert.equal(renderXml(element("a", { b: undefined, c: 0 }, undefined)), '<a c="0"/>\n');
});
