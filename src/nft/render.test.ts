import assert from "node:assert/strict";
import { test } from "node:test";
import type { NftTable } from "./model.ts";
import { renderDelete, renderReplace } from "./render.ts";

const table: NftTable = {
  family: "ip",
  name: "podtap-eth0",
  counters: [{ name: "dropped" }],
  sets: [
    {
      name: "inbound",
      key: "inet_proto . inet_service",
      to: "ipv4_addr",
      interval: true,
      elements: [
        { key: "tcp . 80", value: "10.0.2.2" },
        { key: "udp . 5000-5010", value: "10.0.2.2" },
      ],
    },
  ],
  chains: [
    {
      name: "in",
      hook: { type: "filter", hook: "input", priority: 0, policy: "drop" },
      rules: ["ct state { established, related } accept"],
    },
    { name: "empty", rules: [] },
  ],
};

test("a table is declared, deleted and declared anew in one script", () => {
  assert.equal(
    renderReplace([table]),
    `table ip podtap-eth0
delete table ip podtap-eth0
table ip podtap-eth0 {
  counter dropped { }

  map inbound {
    type inet_proto . inet_service : ipv4_addr
    flags interval
    elements = { tcp . 80 : 10.0.2.2, udp . 5000-5010 : 10.0.2.2 }
  }

  chain in {
    type filter hook input priority 0; policy drop;
    ct state { established, related } accept
  }

  chain empty {
  }
}
`,
  );
  assert.equal(
    renderDelete([{ family: "ip6", name: "podtap" }]),
    "table ip6 podtap\ndelete table ip6 podtap\n",
  );
});

test("what is not an identifier or a single rule does not reach the kernel", () => {
  const evil = { ...table, chains: [{ name: "x", rules: ["accept\n} flush ruleset"] }] };
  assert.throws(() => renderReplace([evil]), /not a single nft rule/);
  assert.throws(
    () => renderReplace([{ ...table, chains: [{ name: "x", rules: ["accept; flush ruleset"] }] }]),
    /single/,
  );
  assert.throws(() => renderDelete([{ family: "ip", name: "a b" }]), /identifier/);
  assert.throws(() => renderDelete([{ family: "ip", name: "x; flush ruleset" }]), /identifier/);
});
