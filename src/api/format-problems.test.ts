import assert from "node:assert/strict";
import { test } from "node:test";
import type { Problem } from "../base/problem.ts";
import { formatProblems, toStatusCauses } from "./format-problems.ts";

function problem(line: number, facts: Partial<Problem> = {}): Problem {
  return {
    code: "PT-NET-12",
    severity: "error",
    reason: "FieldValueInvalid",
    field: "spec.a",
    message: `message ${line}`,
    hint: "do this",
    at: { file: "vm.yaml", line, column: 3 },
    ...facts,
  };
}

test("people get one line a problem, in the order of the file, and a count", () => {
  const text = formatProblems(
    [
      problem(12),
      problem(3, { severity: "warning" }),
      problem(4, { at: { file: "other.yaml", line: 4, column: 1 } }),
    ],
    { color: false },
  );
  assert.equal(
    text,
    [
      "vm.yaml:3:3  warning  PT-NET-12  spec.a: message 3",
      "             do this",
      "vm.yaml:12:3  error  PT-NET-12  spec.a: message 12",
      "              do this",
      "other.yaml:4:1  error  PT-NET-12  spec.a: message 4",
      "                do this",
      "2 errors, 1 warning",
      "",
    ].join("\n"),
  );
  assert.equal(formatProblems([], { color: false }), "");
  assert.ok(formatProblems([problem(1)], { color: true }).includes("\x1b[31merror\x1b[0m"));
});

test("text from manifests cannot speak to the terminal", () => {
  const evil = problem(1, {
    message: "a\nb\x1b[2Jc\u202ed",
    at: { file: "\x1b]0;x.yaml", line: 1, column: 1 },
  });
  const text = formatProblems([evil], { color: false });
  assert.equal(text.includes("\x1b"), false);
  assert.equal(text.includes("\u202e"), false);
  assert.equal(text.trimEnd().split("\n").length, 3);
});

test("the 422 body has ten causes and counts the rest", () => {
  const many = [problem(0, { severity: "warning" }), ...Array.from({ length: 12 }, (_, i) => problem(i + 1))];
  const status = toStatusCauses(many);
  assert.equal(status.code, 422);
  assert.equal(status.reason, "Invalid");
  assert.equal(status.details.causes.length, 10);
  assert.deepEqual(status.details.causes[0], {
    reason: "FieldValueInvalid",
    message: "message 1",
    field: "spec.a",
  });
  assert.equal(
    status.message,
    `${Array.from({ length: 10 }, (_, i) => `message ${i + 1}`).join(", ")}, and 2 more validation errors`,
  );
  assert.equal(toStatusCauses([problem(1)]).message, "message 1");
});
