import assert from "node:assert/strict";
import { test } from "node:test";
import { type AgentFacts, pollAgent, readInterfaces, readOsInfo } from "./guest-agent.ts";

const INTERFACES = {
  return: [
    { name: "lo", "ip-addresses": [{ "ip-address": "127.0.0.1", "ip-address-type": "ipv4", prefix: 8 }] },
    {
      name: "eth0",
      "hardware-address": "52:54:00:12:34:56",
      "ip-addresses": [{ "ip-address": "10.0.2.2" }, { "ip-address": "FE80::1" }],
      statistics: {},
    },
    { name: "eth1", "hardware-address": "52:54:00:12:34:57" },
  ],
};

test("interfaces and system are read, the loopback is not", () => {
  assert.deepEqual(readInterfaces(INTERFACES), [
    { name: "eth0", mac: "52:54:00:12:34:56", ips: ["10.0.2.2", "fe80::1"] },
    { name: "eth1", mac: "52:54:00:12:34:57", ips: [] },
  ]);
  assert.deepEqual(readOsInfo({ return: { id: "debian", "pretty-name": "Debian 12", secret: "x" } }), {
    id: "debian",
    prettyName: "Debian 12",
  });
});

test("a lying agent is cut to size and shape", () => {
  assert.deepEqual(readInterfaces({ return: "no" }), []);
  assert.deepEqual(readInterfaces(null), []);
  assert.deepEqual(readInterfaces({ return: [{ name: 1 }, null, { name: "e", "ip-addresses": [{}, 7] }] }), [
    { name: "e", ips: [] },
  ]);
  const many = {
    return: Array.from({ length: 5000 }, (_, i) => ({ name: `\u001b]0;${i}${"n".repeat(999)}` })),
  };
  const read = readInterfaces(many);
  assert.equal(read.length, 64);
  assert.ok(read.every(({ name }) => name.length <= 256 && !name.includes("\u001b")));
  assert.equal(readOsInfo({ error: {} }), undefined);
});

test("a connected agent is asked at once, then after 0.5, 1, 2 … 120 s, and changes are told once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked: string[] = [];
  const told: AgentFacts[] = [];
  const poller = pollAgent(
    async (command) => {
      const name = (command as { execute: string }).execute;
      asked.push(name);
      return name === "guest-get-osinfo" ? { return: { id: "x" } } : INTERFACES;
    },
    (facts) => told.push(facts),
  );
  const rounds = () => asked.filter((name) => name === "guest-network-get-interfaces").length;
  const tick = async (ms: number) => {
    t.mock.timers.tick(ms);
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  await tick(1000);
  assert.equal(rounds(), 0, "nobody is connected");
  poller.connected();
  await tick(0);
  assert.deepEqual(asked, ["guest-network-get-interfaces", "guest-get-osinfo"]);
  for (const [after, count] of [
    [499, 1],
    [1, 2],
    [999, 2],
    [1, 3],
    [2000, 4],
  ] as const) {
    await tick(after);
    assert.equal(rounds(), count);
  }
  for (let i = 0; i < 12; i++) await tick(120_000);
  const settled = rounds();
  await tick(120_000);
  assert.equal(rounds(), settled + 1, "never more seldom than every 120 s");
  poller.nudge();
  await tick(250);
  assert.equal(rounds(), settled + 2, "a lease is a reason to look");
  poller.disconnected();
  await tick(240_000);
  assert.equal(rounds(), settled + 2);
  assert.equal(told.length, 1);
  assert.equal(asked.filter((name) => name === "guest-get-osinfo").length, 1);
});
