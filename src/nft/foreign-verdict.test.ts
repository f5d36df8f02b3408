import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignDrops, type ProbePacket } from "./foreign-verdict.ts";

const OUT: ProbePacket = { family: "ip", iifname: "podtap0", oifname: "ens3", established: false };

interface Chain {
  readonly name: string;
  readonly policy?: string;
  readonly rules: readonly (readonly object[])[];
}

/** As `nft -j list ruleset` prints a table of iptables' FORWARD and the chains it jumps to. */
function filterTable(chains: readonly Chain[], family = "ip"): unknown {
  let handle = 0;
  return {
    nftables: [
      { metainfo: { version: "1.0.6" } },
      { table: { family, name: "filter" } },
      ...chains.map(({ name, policy }) => ({
        chain: {
          family,
          table: "filter",
          name,
          ...(policy && { type: "filter", hook: "forward", prio: 0, policy }),
        },
      })),
      ...chains.flatMap(({ name, rules }) =>
        rules.map((expr) => ({ rule: { family, table: "filter", chain: name, handle: ++handle, expr } })),
      ),
    ],
  };
}

const link = (key: string, right: unknown, op = "=="): object => ({
  match: { op, left: { meta: { key } }, right },
});
const ACCEPT = { accept: null };
const UNKNOWN = { xt: { type: "match", name: "conntrack" } };

test("a policy of drop kills, and names the base chain", () => {
  const listing = filterTable([{ name: "FORWARD", policy: "drop", rules: [] }]);
  assert.deepEqual(foreignDrops(listing, OUT, "podtap"), [
    { family: "ip", table: "filter", chain: "FORWARD", certain: true },
  ]);
  assert.deepEqual(foreignDrops(listing, { ...OUT, family: "ip6" }, "podtap"), []);
  assert.deepEqual(foreignDrops(listing, OUT, "filt"), [], "our own tables are not foreign");
});

test("a rule for our bridge in a chain that is jumped to saves the packet", () => {
  const listing = filterTable([
    { name: "FORWARD", policy: "drop", rules: [[{ counter: {} }, { jump: { target: "DOCKER-USER" } }]] },
    {
      name: "DOCKER-USER",
      rules: [[link("iifname", "podtap0"), { counter: {} }, ACCEPT], [{ return: null }]],
    },
  ]);
  assert.deepEqual(foreignDrops(listing, OUT, "podtap"), []);
  assert.equal(foreignDrops(listing, { ...OUT, iifname: "virbr0" }, "podtap").length, 1);
});

test("what cannot be judged is neither for nor against", () => {
  const listing = filterTable([{ name: "FORWARD", policy: "drop", rules: [[UNKNOWN, ACCEPT]] }]);
  assert.deepEqual(
    foreignDrops(listing, OUT, "podtap").map(({ certain }) => certain),
    [false],
    "it may accept",
  );
  const dropping = filterTable([{ name: "FORWARD", policy: "accept", rules: [[UNKNOWN, { drop: null }]] }]);
  assert.deepEqual(foreignDrops(dropping, OUT, "podtap"), [], "it may not meet it");
});

test("a reject at the end is named by chain and handle, as firewalld's is", () => {
  const state = { match: { op: "in", left: { ct: { key: "state" } }, right: ["established", "related"] } };
  const listing = filterTable(
    [
      {
        name: "filter_FORWARD",
        policy: "accept",
        rules: [
          [state, ACCEPT],
          [link("iifname", "lo"), ACCEPT],
          [link("iifname", { set: ["a", "vir*"] }), ACCEPT],
          [{ reject: { type: "icmpx", expr: "admin-prohibited" } }],
        ],
      },
    ],
    "inet",
  );
  assert.deepEqual(foreignDrops(listing, OUT, "podtap"), [
    {
      family: "inet",
      table: "filter",
      chain: "filter_FORWARD",
      rule: { chain: "filter_FORWARD", handle: 4 },
      certain: true,
    },
  ]);
  assert.deepEqual(foreignDrops(listing, { ...OUT, established: true }, "podtap"), []);
  assert.deepEqual(foreignDrops(listing, { ...OUT, iifname: "virbr0" }, "podtap"), []);
});

test("chains that jump in a circle end", () => {
  const listing = filterTable([
    { name: "FORWARD", policy: "drop", rules: [[{ jump: { target: "a" } }]] },
    { name: "a", rules: [[{ jump: { target: "a" } }]] },
  ]);
  assert.deepEqual(
    foreignDrops(listing, OUT, "podtap").map(({ certain }) => certain),
    [false],
  );
});
