import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Cidr } from "../../src/base/ip.ts";
import { BRIDGE_MAC } from "../../src/base/mac.ts";
import { type NetClient, startNetWorker } from "../../src/linux/net-client.ts";
import { deleteNetns } from "../../src/linux/netns.ts";
import type { NftTable } from "../../src/nft/model.ts";
import type { Step } from "../../src/plan/step.ts";
import { requires, testPod } from "../support/netns.ts";

const needs = requires("root", "ip", "nft", "tap");
const FORWARD = "net/ipv4/ip_forward";

test("the worker makes, wires, observes and deletes a namespace", needs, async (t) => {
  const { net, folder } = start(t);
  const netns = join(folder, "netns", "web");
  await net.createNetns(netns);
  t.after(() => deleteNetns(netns));
  assert.deepEqual(await net.listNetns(join(folder, "netns")), ["web"]);
  await net.applySteps({ netns, steps: STEPS, journal: join(folder, "journal") });
  const seen = await net.observe(netns, [FORWARD, "net/ipv4/nope"]);
  assert.deepEqual(seen.sysctls, { [FORWARD]: "1", "net/ipv4/nope": null });
  assert.deepEqual(
    seen.links.map(({ name, master, up }) => ({ name, master, up })),
    [
      { name: "lo", master: undefined, up: true },
      { name: "k6t-eth0", master: undefined, up: true },
      { name: "tap0", master: "k6t-eth0", up: true },
    ],
  );
  assert.deepEqual(
    seen.nft.map(({ family, name }) => `${family} ${name}`),
    ["ip podtap-eth0"],
  );
  const table = { family: "ip", name: "podtap-eth0" } as const;
  assert.deepEqual(await net.call("readNftCounters", { netns, table }), { seen: { packets: 0, bytes: 0 } });
  await net.deleteNetns(netns);
  assert.ok(!existsSync(netns));
});

test("a failing step in the worker is undone and told with its kernel words", needs, async (t) => {
  const { net, folder } = start(t);
  const pod = testPod(t);
  const bad: Step = { op: "address.add", link: "nowhere", address: "10.0.2.1/24" as Cidr };
  await assert.rejects(
    net.applySteps({ netns: pod.path, steps: [...STEPS, bad], journal: join(folder, "journal") }),
    { code: "PT-APPLY-1", message: /cannot add 10\.0\.2\.1\/24 to nowhere: .*ENODEV/ },
  );
  const seen = await net.observe(pod.path, [FORWARD]);
  assert.deepEqual(
    seen.links.map(({ name }) => name),
    ["lo"],
  );
  assert.deepEqual(seen.nft, []);
});

test("deletions are paced, and the worker serves others meanwhile", needs, async (t) => {
  const { net, folder } = start(t);
  const paths = ["a", "b", "c", "d"].map((name) => join(folder, "netns", name));
  for (const path of paths) await net.createNetns(path);
  const started = performance.now();
  const deletions = Promise.all(paths.map((path) => net.deleteNetns(path)));
  const order: string[] = [];
  await Promise.all([
    deletions.then(() => order.push("deleted")),
    net.listNetns(folder).then(() => order.push("listed")),
  ]);
  assert.deepEqual(order, ["listed", "deleted"]);
  assert.ok(performance.now() - started >= 115, "four deletions need three pauses of 40 ms");
  assert.deepEqual(await net.listNetns(join(folder, "netns")), []);
});

const TABLE: NftTable = {
  family: "ip",
  name: "podtap-eth0",
  counters: [{ name: "seen" }],
  sets: [],
  chains: [{ name: "c", rules: ["counter name seen"] }],
};
const STEPS: readonly Step[] = [
  { op: "nft.replace", tables: [TABLE] },
  { op: "bridge.add", name: "k6t-eth0", mac: BRIDGE_MAC, mtu: 1450 },
  { op: "tap.add", name: "tap0", uid: 107, multiQueue: false, mtu: 1450 },
  { op: "sysctl.set", key: FORWARD, value: "1" },
  { op: "address.add", link: "k6t-eth0", address: "10.0.2.1/24" as Cidr },
  { op: "link.set", name: "k6t-eth0", changes: { up: true } },
  { op: "link.set", name: "tap0", changes: { master: "k6t-eth0", up: true } },
];

function start(t: TestContext): { net: NetClient; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), "podtap-worker-"));
  const net = startNetWorker();
  t.after(async () => {
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { net, folder };
}
