import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignDrops } from "./foreign-verdict.ts";
import type { ProbePacket } from "./foreign-verdict-rule.ts";

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

const ANSWER: ProbePacket = { ...OUT, iifname: "ens3", oifname: "podtap0", established: true };

/** Is the packet dropped by a chain of these rules and a policy of drop, and is that certain? */
function dropped(rules: readonly (readonly object[])[], packet = OUT): boolean | undefined {
  return foreignDrops(filterTable([{ name: "FORWARD", policy: "drop", rules }]), packet, "podtap")[0]
    ?.certain;
}

const field = (protocol: string, name: string, right: unknown, op = "=="): object => ({
  match: { op, left: { payload: { protocol, field: name } }, right },
});
const xt = (name: string): object => ({ xt: { type: "match", name } });

test("an accept of some transports or ports saves no other packet", () => {
  for (const narrow of [
    [field("tcp", "dport", 22)],
    [field("tcp", "dport", 25, "!=")],
    [field("th", "dport", { set: [53, 123] })],
    [field("ip", "protocol", "icmp"), xt("icmp")],
    [link("l4proto", { set: ["tcp", "udp"] })],
    [field("ip6", "daddr", "fd00::1")],
    [xt("multiport")],
  ]) {
    assert.equal(dropped([[...narrow, ACCEPT]]), true, JSON.stringify(narrow));
  }
  assert.equal(dropped([[link("l4proto", "icmp", "!="), ACCEPT]]), undefined);
});

test("an address, a set, a mark may save the packet", () => {
  for (const open of [
    [field("ip", "saddr", { prefix: { addr: "10.0.0.0", len: 8 } })],
    [link("iifname", "@inside")],
    [link("mark", 7)],
    [xt("set")],
  ]) {
    assert.equal(dropped([[...open, ACCEPT]]), false, JSON.stringify(open));
  }
});

test("a comment of xtables is no condition: our own rule saves the packet", () => {
  assert.equal(dropped([[link("iifname", "podtap0"), xt("comment"), { counter: {} }, ACCEPT]]), undefined);
});

test("what was translated is accepted by firewalld, what pods send is not", () => {
  const status = { match: { op: "in", left: { ct: { key: "status" } }, right: "dnat" } };
  assert.equal(dropped([[status, ACCEPT]]), true);
});

test("a reject of iptables is one", () => {
  const rules = [[{ xt: { type: "target", name: "LOG" } }], [{ xt: { type: "target", name: "REJECT" } }]];
  const listing = filterTable([{ name: "FORWARD", policy: "accept", rules }]);
  assert.deepEqual(foreignDrops(listing, OUT, "podtap")[0]?.rule, { chain: "FORWARD", handle: 2 });
});

test("verdict maps are read", () => {
  const vmap = (key: object, entries: readonly (readonly [string, object])[]): object => ({
    vmap: { key, data: { set: entries } },
  });
  const states = vmap({ ct: { key: "state" } }, [
    ["established", ACCEPT],
    ["related", ACCEPT],
    ["invalid", { drop: null }],
  ]);
  assert.equal(dropped([[states]]), true);
  assert.equal(dropped([[states]], ANSWER), undefined);
  const links = { meta: { key: "iifname" } };
  assert.equal(dropped([[vmap(links, [["podtap0", ACCEPT]])]]), undefined);
  assert.equal(dropped([[vmap(links, [["virbr0", ACCEPT]])]]), true);
  assert.equal(dropped([[vmap({ meta: { key: "mark" } }, [["1", ACCEPT]])]]), false);
  assert.equal(dropped([[{ vmap: { key: links, data: "@zones" } }]]), false, "a named map");
});

test("a goto does not come back", () => {
  const listing = filterTable([
    { name: "FORWARD", policy: "drop", rules: [[{ goto: { target: "a" } }], [ACCEPT]] },
    { name: "a", rules: [[link("iifname", "virbr0"), ACCEPT]] },
  ]);
  assert.deepEqual(
    foreignDrops(listing, OUT, "podtap").map(({ certain }) => certain),
    [true],
  );
});

test("a return that cannot be judged makes the drop behind it uncertain", () => {
  const listing = filterTable([
    { name: "FORWARD", policy: "accept", rules: [[xt("set"), { return: null }], [{ drop: null }]] },
  ]);
  assert.deepEqual(
    foreignDrops(listing, OUT, "podtap").map(({ certain }) => certain),
    [false],
  );
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
