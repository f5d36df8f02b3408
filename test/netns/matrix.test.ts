/**
 * Every binding that podtap wires, on IPv4, IPv6 and both: does it keep each guarantee, with packets? The answers are
 * the matrix in docs/bindings/README.md, which says what this finds and nothing else; PODTAP_UPDATE_GOLDEN=1 writes it.
 *
 * PODTAP_MATRIX="bridge v6" looks at the rows that have all these words; a part of the matrix is never written.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { registry } from "../../src/bindings/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import {
  betweenMarks,
  type DocumentRow,
  describeCell,
  describeVerdict,
  renderMatrix,
  withMatrix,
} from "../support/matrix/document.ts";
import { GUARANTEES, type Row, runMatrix, STACKS, type Subject } from "../support/matrix/run.ts";
import { isOutOfReach, joinable } from "../support/matrix/user-network.ts";
import { requires } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";

onPrivateHost(import.meta.filename);

const PAGE = new URL("../../docs/bindings/README.md", import.meta.url);
const STACK_NAMES = { v4: "IPv4", v6: "IPv6", dual: "both" } as const;
const updating = process.env["PODTAP_UPDATE_GOLDEN"] !== undefined;
const needs = requires("root", "nft", "ip", "tap", "cni", "udhcpc", "dhclient", "dhcpcd", "dnsmasq");

const all: readonly Subject[] = registry.all.flatMap((binding) =>
  STACKS.map((stack) => ({ binding, stack })),
);
const words = (process.env["PODTAP_MATRIX"] ?? "").split(" ").filter(Boolean);
const wanted = all
  .filter(({ binding, stack }) => words.every((word) => [binding.bindingName, stack].includes(word)))
  .filter(({ binding }) => !isOutOfReach(binding));

/** All of it is one piece of work, which an emulated machine is at for minutes. */
const LASTING = { timeout: 900_000 };

describe("guarantees", { ...needs, ...LASTING }, () => {
  const lacking = ({ binding }: Subject): string | undefined =>
    needs.skip === false ? binding.lacking(joinable(hostFeatures())) : undefined;
  const documented = betweenMarks(readFileSync(PAGE, "utf8"));
  const judged = new Map<Subject, Partial<Row>>();
  let found: ReadonlyMap<Subject, Row>;
  before(async () => {
    const here = wanted.filter((subject) => lacking(subject) === undefined);
    found = await runMatrix(here, mkdtempSync("/run/pt-matrix-"));
  }, LASTING);

  for (const subject of wanted) {
    const missing = lacking(subject);
    const skip = missing === undefined ? false : `the kernel lacks what it needs: ${missing}`;
    for (const guarantee of GUARANTEES) {
      test(`${labelOf(subject)}: ${guarantee}`, { skip }, () => {
        const verdict = found.get(subject)?.[guarantee];
        assert.ok(verdict);
        if (verdict.broke !== undefined) throw verdict.broke;
        judged.set(subject, { ...judged.get(subject), [guarantee]: verdict });
        if (updating) return;
        const said = describeCell(documented, labelOf(subject), guarantee);
        const why = verdict.detail === undefined ? "" : `: ${verdict.detail}`;
        assert.equal(describeVerdict(verdict), said, `docs/bindings/README.md says otherwise${why}`);
      });
    }
  }

  test("docs/bindings/README.md has this matrix and no more", (t) => {
    const rows = all.flatMap((subject): readonly DocumentRow[] => {
      const row = judged.get(subject) ?? {};
      const isWhole = GUARANTEES.every((guarantee) => row[guarantee] !== undefined);
      return isWhole ? [{ label: labelOf(subject), cells: row as Row }] : [];
    });
    const matrix = renderMatrix(GUARANTEES, rows);
    if (rows.length < all.length)
      return t.diagnostic("a part of it was looked at; the page is left as it is");
    if (updating) writeFileSync(PAGE, withMatrix(readFileSync(PAGE, "utf8"), matrix));
    else assert.equal(matrix, documented, "PODTAP_UPDATE_GOLDEN=1 writes what was found");
  });
});

function labelOf({ binding, stack }: Subject): string {
  return `${binding.bindingName}, ${STACK_NAMES[stack]}`;
}
