/**
 * Every binding that podtap wires, on IPv4, IPv6 and both: does it keep each guarantee, with packets? The answers are
 * the matrix in docs/bindings/README.md, which says what this finds and nothing else; PODTAP_UPDATE_GOLDEN=1 writes it.
 *
 * PODTAP_MATRIX="bridge v6" looks at the rows that have all these words; a part of the matrix is never written.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { registry } from "../../src/bindings/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { betweenMarks, type DocumentRow, renderMatrix, withMatrix } from "../support/matrix/document.ts";
import { GUARANTEES, type Row, runMatrix, STACKS, type Subject } from "../support/matrix/run.ts";
import { requires } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const PAGE = new URL("../../docs/bindings/README.md", import.meta.url);
const STACK_NAMES = { v4: "IPv4", v6: "IPv6", dual: "both" } as const;
const needs = requires("root", "nft", "ip", "tap", "cni", "udhcpc", "dhclient", "dhcpcd");

const all: readonly Subject[] = registry.all.flatMap((binding) =>
  STACKS.map((stack) => ({ binding, stack })),
);
const words = (process.env["PODTAP_MATRIX"] ?? "").split(" ").filter(Boolean);
const wanted = all.filter((subject) => words.every((word) => wordsOf(subject).includes(word)));
const runnable =
  needs.skip === false ? wanted.filter(({ binding }) => binding.lacking(hostFeatures()) === undefined) : [];

describe("guarantees", needs, () => {
  let found: ReadonlyMap<Subject, Row>;
  const looked = new Set<string>();
  before(async () => {
    found = await runMatrix(runnable, mkdtempSync("/run/pt-matrix-"));
  });

  for (const subject of wanted) {
    const { binding } = subject;
    const lacking = needs.skip === false ? binding.lacking(hostFeatures()) : undefined;
    const skip =
      lacking === undefined ? false : `the kernel lacks what ${binding.bindingName} needs: ${lacking}`;
    for (const guarantee of GUARANTEES) {
      test(`${labelOf(subject)}: ${guarantee}`, { skip }, () => {
        const verdict = found.get(subject)?.[guarantee];
        assert.ok(verdict, "was judged");
        if (verdict.broke !== undefined) throw verdict.broke;
        looked.add(`${labelOf(subject)}: ${guarantee}`);
      });
    }
  }

  test("docs/bindings/README.md has this matrix", () => {
    const rows = runnable.map((subject): DocumentRow => {
      const row = found.get(subject);
      assert.ok(row);
      return { label: labelOf(subject), cells: row };
    });
    const text = renderMatrix(GUARANTEES, rows);
    const whole = runnable.length === all.length && looked.size === all.length * GUARANTEES.length;
    const page = readFileSync(PAGE, "utf8");
    if (!whole) console.log(text);
    else if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(PAGE, withMatrix(page, text));
    else assert.equal(text, betweenMarks(page), "PODTAP_UPDATE_GOLDEN=1 writes what was found");
  });
});

after(() => undefined);

function labelOf({ binding, stack }: Subject): string {
  return `${binding.bindingName}, ${STACK_NAMES[stack]}`;
}

function wordsOf({ binding, stack }: Subject): readonly string[] {
  return [binding.bindingName, stack];
}
