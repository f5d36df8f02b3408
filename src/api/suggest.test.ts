import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editDistance, suggest } from "./suggest.ts";

test("typing mistakes find their word", () => {
  const fields = ["masquerade", "macAddress", "macvtap", "model", "name", "ports", "portRanges"];
  assert.equal(suggest("masqurade", fields), "masquerade");
  assert.equal(suggest("macaddress", fields), "macAddress");
  assert.equal(suggest("prots", fields), "ports");
  assert.equal(suggest("colour", fields), undefined);
  assert.equal(suggest("", fields), undefined);
});

test("the edit distance is a distance", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      assert.equal(editDistance(a, a), 0);
      assert.equal(editDistance(a, b), editDistance(b, a));
      assert.ok(editDistance(a, b) <= Math.max(a.length, b.length));
      assert.ok(a === b || editDistance(a, b) > 0);
    }),
  );
  assert.equal(editDistance("ab", "ba"), 1);
});
