import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignDrops } from "./foreign-verdict.ts";
import { listIptables } from "./iptables-rules.ts";

const OUT = { family: "ip", iifname: "podtap0", oifname: "ens3", established: false } as const;

/** Certainty of the drop, undefined where pods are let out. */
function dropped(...lines: readonly string[]): boolean | undefined {
  const text = ["-P INPUT ACCEPT", "-P FORWARD DROP", "-N inner", "-N quiet", ...lines].join("\n");
  return foreignDrops({ nftables: listIptables(text, "ip", "filter") }, OUT, "podtap")[0]?.certain;
}

test("chains and rules are listed as nft lists them", () => {
  assert.deepEqual(
    listIptables('-P FORWARD DROP\n-N a\n-A a -i br+ -m comment --comment "so \\" i" -j RETURN\n', "ip", "t"),
    [
      {
        chain: { family: "ip", table: "t", name: "FORWARD", type: "filter", hook: "forward", policy: "drop" },
      },
      { chain: { family: "ip", table: "t", name: "a" } },
      {
        rule: {
          family: "ip",
          table: "t",
          chain: "a",
          handle: 1,
          expr: [{ match: { op: "==", left: { meta: { key: "iifname" } }, right: "br*" } }, { return: null }],
        },
      },
    ],
  );
});

test("what lets pods out, what does not, and what may", () => {
  for (const [rule, expected] of [
    ["-A FORWARD -i podtap0 -j ACCEPT", undefined],
    ["-A FORWARD -i podtap+ -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", undefined],
    ["-A FORWARD ! -i ens3 -j ACCEPT", undefined],
    ['-A FORWARD -m comment --comment "two words -j DROP" -j ACCEPT', undefined],
    ["-A FORWARD -o podtap0 -j ACCEPT", true],
    ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", true],
    ["-A FORWARD -p tcp -m tcp --dport 443 -j ACCEPT", true],
    ["-A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT", true],
    ["-A FORWARD -s 10.0.0.0/8 -j ACCEPT", false],
    ["-A FORWARD -m mark --mark 0x7 -j ACCEPT", false],
    ['-A FORWARD -j LOG --log-prefix "dropped: "', true],
    ["-A FORWARD -i podtap0 -j inner\n-A inner -j ACCEPT", undefined],
    ["-A FORWARD -g quiet\n-A FORWARD -j ACCEPT", true],
  ] as const) {
    assert.equal(dropped(rule), expected, rule);
  }
});

test("a reject is named by its number in the chain", () => {
  const text =
    "-P FORWARD ACCEPT\n-A FORWARD -i lo -j ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable";
  const [killer] = foreignDrops({ nftables: listIptables(text, "ip", "filter") }, OUT, "podtap");
  assert.deepEqual(killer?.rule, { chain: "FORWARD", handle: 2 });
});
