import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ApiError } from "../api-error.ts";
import { jsonPatch, mergePatch, strategicMergePatch } from "./patch.ts";

test("merge patches do what RFC 7386, appendix A says", () => {
  const cases: readonly (readonly [unknown, unknown, unknown])[] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases) assert.deepEqual(mergePatch(target, patch), result);
});

test("JSON patches do what RFC 6902, appendix A says", () => {
  const cases: readonly (readonly [unknown, readonly object[], unknown])[] = [
    [{ foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [{ foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
    [{ baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    [{ foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    [{ baz: "qux" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo" }],
    [{ a: { b: 1 }, c: {} }, [{ op: "move", from: "/a/b", path: "/c/d" }], { a: {}, c: { d: 1 } }],
    [{ foo: ["a", "b", "c"] }, [{ op: "move", from: "/foo/0", path: "/foo/2" }], { foo: ["b", "c", "a"] }],
    [
      { foo: [2] },
      [
        { op: "test", path: "/foo/0", value: 2 },
        { op: "add", path: "/foo/-", value: 3 },
      ],
      { foo: [2, 3] },
    ],
    [
      { "/": 9, "~1": 10 },
      [
        { op: "test", path: "/~01", value: 10 },
        { op: "remove", path: "/~1" },
      ],
      { "~1": 10 },
    ],
    [
      { a: [1] },
      [
        { op: "copy", from: "/a", path: "/b" },
        { op: "add", path: "/b/-", value: 2 },
      ],
      { a: [1], b: [1, 2] },
    ],
    [{ a: 1 }, [{ op: "replace", path: "", value: { b: 2 } }], { b: 2 }],
  ];
  for (const [target, patch, result] of cases) assert.deepEqual(jsonPatch(target, patch), result);
});

test("a JSON patch that cannot be done is refused whole", () => {
  const target = { a: 1, list: [1] };
  const refused = (status: number, ...patch: readonly object[]): void => {
    const before = structuredClone(target);
    const { path } = patch.at(-1) as { path?: string };
    assert.throws(
      () => jsonPatch(target, patch),
      (thrown) => thrown instanceof ApiError && thrown.status === status,
      `${path}`,
    );
    assert.deepEqual(target, before);
  };
  const change = { op: "replace", path: "/a", value: 2 };
  refused(422, change, { op: "test", path: "/a", value: 1 });
  refused(422, change, { op: "remove", path: "/b" });
  refused(422, change, { op: "add", path: "/list/7", value: 1 });
  refused(422, change, { op: "add", path: "/list/01", value: 1 });
  refused(422, change, { op: "add", path: "/none/x", value: 1 });
  refused(422, change, { op: "add", path: "/a/x", value: 1 });
  refused(400, { op: "add", path: "/b" });
  refused(400, { op: "add", path: "b", value: 1 });
  refused(400, { op: "frobnicate", path: "/b", value: 1 });
  refused(400, { op: "add", path: "/__proto__/polluted", value: 1 });
  refused(400, { op: "add" });
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("strategic patches of a Service merge its ports by number, in the order asked for", () => {
  const live = {
    spec: {
      ports: [
        { name: "http", port: 80 },
        { name: "old", port: 81 },
      ],
      selector: { a: "b" },
    },
  };
  const patch = {
    spec: {
      "$setElementOrder/ports": [{ port: 443 }, { port: 80 }],
      ports: [
        { name: "https", port: 443 },
        { port: 80, targetPort: 8080 },
        { $patch: "delete", port: 81 },
      ],
    },
  };
  assert.deepEqual(strategicMergePatch(live, patch), {
    spec: {
      ports: [
        { name: "https", port: 443 },
        { name: "http", port: 80, targetPort: 8080 },
      ],
      selector: { a: "b" },
    },
  });
});

test("strategic patches know finalizers as a set, replacement, and deletion from plain lists", () => {
  const patched = (patch: object): Record<string, unknown> =>
    strategicMergePatch(live, patch) as Record<string, unknown>;
  const live = {
    metadata: { finalizers: ["a/b", "c/d"] },
    data: { x: "1" },
    spec: { nested: { deep: 1, other: 2 } },
  };
  assert.deepEqual(patched({ metadata: { finalizers: ["e/f"] } })["metadata"], {
    finalizers: ["a/b", "c/d", "e/f"],
  });
  const drop = { metadata: { "$deleteFromPrimitiveList/finalizers": ["a/b"] } };
  assert.deepEqual(patched(drop)["metadata"], { finalizers: ["c/d"] });
  const replace = { spec: { nested: { $patch: "replace", only: 3 } } };
  assert.deepEqual(patched(replace)["spec"], { nested: { only: 3 } });
  assert.deepEqual(patched({ data: { x: null } })["data"], {});
});

test("a merge patch of an object with itself changes nothing, and applying it twice is applying it once", () => {
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      tie("map"),
      fc.array(tie("value")),
    ),
    map: fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true },
    ),
  })).map;
  fc.assert(
    fc.property(json, json, (target, patch) => {
      assert.deepEqual(mergePatch(target, target), target);
      const once = mergePatch(target, patch);
      assert.deepEqual(mergePatch(once, patch), once);
    }),
  );
});
