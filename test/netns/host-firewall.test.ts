/**
 * Firewalls that drop what is forwarded, as Docker, ufw and hand-written rulesets write their rules: a pod behind
 * podtap's bridge reaches a station beyond the host all the same, or the rule that kills is named. The programs
 * themselves run in test/outer.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../src/apps/node/config.ts";
import { openHostNetwork } from "../../src/apps/node/host-network.ts";
import { startNodeNet } from "../../src/apps/node/net.ts";
import { pathsFrom } from "../../src/apps/paths.ts";
import { letPodsThrough, withdraw } from "../../src/cluster/local/cni/host-firewall.ts";
import {
  BRIDGE,
  hostPort,
  POD,
  reached,
  reaches,
  rulesInForce,
  twoStations,
  WISH,
  WORLD,
} from "../support/firewalled-host.ts";
import { onPrivateHost } from "../support/private-host.ts";
import { requires } from "../support/requires.ts";

onPrivateHost(import.meta.filename);

const iptables = (...args: readonly string[]): void => void execFileSync("iptables", ["-w", ...args]);

/** As Docker's rules stand. */
function docker(): void {
  iptables("-P", "FORWARD", "DROP");
  for (const chain of ["DOCKER-USER", "DOCKER-FORWARD"]) {
    iptables("-N", chain);
    iptables("-A", "FORWARD", "-j", chain);
  }
  iptables("-A", "DOCKER-USER", "-j", "RETURN");
  iptables("-A", "DOCKER-FORWARD", "-i", "docker0", "-j", "ACCEPT");
}

test("beside Docker: out it goes, in comes nothing new", requires("root", "ip", "nft"), async (t) => {
  const { pod, world } = twoStations(t);
  const port = hostPort();
  await reached(pod, WORLD.v4);
  docker();
  const before = rulesInForce();
  assert.equal(reaches(pod, WORLD.v4), false, "the firewall works");
  const { adapted, obstacles } = await letPodsThrough(port, WISH);
  assert.deepEqual(obstacles, []);
  assert.ok(
    adapted.length === 2 && adapted.every((line) => line.includes("DOCKER-USER")),
    adapted.join("\n"),
  );
  await reached(pod, WORLD.v4);
  assert.equal(reaches(world, POD.v4), false, "a stranger's packet to a pod is still Docker's to drop");
  port.ran.length = 0;
  assert.deepEqual(await letPodsThrough(port, WISH), { adapted: [], obstacles: [] });
  assert.deepEqual(port.ran, [], "where nothing is in the way, no program is run");
  await withdraw(port, BRIDGE);
  assert.deepEqual(rulesInForce(), before);
  assert.equal(reaches(pod, WORLD.v4), false);
  port.ran.length = 0;
  await withdraw(port, BRIDGE);
  assert.deepEqual(port.ran, [], "where nothing is ours, no program is run");
});

test("told only, Docker's drop is named with what cures it", requires("root", "ip", "nft"), async (t) => {
  const { pod } = twoStations(t);
  docker();
  const { adapted, obstacles } = await letPodsThrough(hostPort(), { ...WISH, adapt: false });
  assert.deepEqual(adapted, []);
  assert.deepEqual(
    obstacles.map(({ message }) => message),
    [
      "what pods send does not leave the host: the policy of chain FORWARD of table ip filter is drop " +
        "(iptables', so Docker's or ufw's)",
    ],
  );
  assert.equal(reaches(pod, WORLD.v4), false);
  execFileSync("sh", ["-c", obstacles[0]?.hint ?? "false"]);
  await reached(pod, WORLD.v4);
  assert.deepEqual(await letPodsThrough(hostPort(), { ...WISH, adapt: false }), {
    adapted: [],
    obstacles: [],
  });
});

test("somebody's own rules for the bridge stay", requires("root", "ip", "nft"), async (t) => {
  twoStations(t);
  iptables("-I", "FORWARD", "-i", BRIDGE, "-j", "ACCEPT");
  const before = rulesInForce();
  await withdraw(hostPort(), BRIDGE);
  assert.deepEqual(rulesInForce(), before);
});

test("beside a reject at the end of FORWARD", requires("root", "ip", "nft"), async (t) => {
  const { pod } = twoStations(t);
  await reached(pod, WORLD.v4);
  iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT");
  iptables("-A", "FORWARD", "-p", "tcp", "--dport", "22", "-j", "ACCEPT");
  iptables("-A", "FORWARD", "-j", "REJECT", "--reject-with", "icmp-host-prohibited");
  assert.equal(reaches(pod, WORLD.v4), false);
  const told = await letPodsThrough(hostPort(), { ...WISH, adapt: false });
  assert.match(
    told.obstacles[0]?.message ?? "",
    /does not leave the host: rule 3 of chain FORWARD of table ip filter drops it \(iptables'/,
  );
  assert.deepEqual((await letPodsThrough(hostPort(), WISH)).obstacles, []);
  await reached(pod, WORLD.v4);
});

test("what iptables knows better than nft lists", requires("root", "ip", "nft"), async (t) => {
  twoStations(t);
  iptables("-P", "FORWARD", "DROP");
  const told = async (): Promise<readonly string[]> =>
    (await letPodsThrough(hostPort(), { ...WISH, adapt: false })).obstacles.map(({ message }) => message);
  iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT");
  assert.match(
    (await told()).join("\n"),
    /^what pods send does not leave the host: the policy of chain FORWARD/,
  );
  iptables("-A", "FORWARD", "-m", "mark", "--mark", "7", "-j", "ACCEPT");
  assert.match((await told()).join("\n"), /^what pods send may not leave the host: .*cannot be read$/);
  iptables("-A", "FORWARD", "-i", "podtap+", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT");
  assert.deepEqual(await told(), [], "pods are let out by a rule of somebody's own");
});

test("beside iptables-legacy, whose tables nft does not list", requires("root", "ip", "nft"), async (t) => {
  const { pod, world } = twoStations(t);
  await reached(pod, WORLD.v4);
  const legacy = (...args: readonly string[]): string =>
    execFileSync("iptables-legacy", ["-w", ...args], { encoding: "utf8" });
  t.after(() => {
    legacy("-F");
    legacy("-P", "FORWARD", "ACCEPT");
  });
  legacy("-P", "FORWARD", "DROP");
  const before = legacy("-S");
  assert.equal(reaches(pod, WORLD.v4), false);
  const told = await letPodsThrough(hostPort(), { ...WISH, adapt: false });
  assert.match(
    told.obstacles.map(({ message }) => message).join("\n"),
    /^what pods send does not leave the host: the policy of chain FORWARD of table ip filter is drop \(iptables-legacy's/,
  );
  const { adapted, obstacles } = await letPodsThrough(hostPort(), WISH);
  assert.deepEqual(obstacles, []);
  assert.equal(adapted.length, 2, adapted.join("\n"));
  await reached(pod, WORLD.v4);
  assert.equal(reaches(world, POD.v4), false);
  assert.deepEqual(await letPodsThrough(hostPort(), WISH), { adapted: [], obstacles: [] });
  await withdraw(hostPort(), BRIDGE);
  assert.equal(legacy("-S"), before);
  execFileSync("sh", ["-c", told.obstacles[0]?.hint ?? "false"]);
  await reached(pod, WORLD.v4);
});

test("beside rules as ufw's, and after they were loaded again", requires("root", "ip", "nft"), async (t) => {
  const { pod } = twoStations(t);
  const port = hostPort();
  const enable = (): void => {
    iptables("-F", "FORWARD");
    iptables("-P", "FORWARD", "DROP");
    iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT");
  };
  enable();
  await letPodsThrough(port, WISH);
  await reached(pod, WORLD.v4);
  enable();
  assert.equal(reaches(pod, WORLD.v4), false, "the reload took our rules along");
  await letPodsThrough(port, WISH);
  await reached(pod, WORLD.v4);
});

test("a hand-written ruleset is left alone, and its rule named with what to type", {
  ...requires("root", "ip", "nft"),
}, async (t) => {
  const { pod } = twoStations(t);
  const port = hostPort();
  const rules =
    "table inet filter {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n" +
    "ct state vmap { established : accept, related : accept, invalid : drop }\ntcp dport 22 accept\n}\n}";
  execFileSync("nft", [rules]);
  const { adapted, obstacles } = await letPodsThrough(port, WISH);
  assert.deepEqual(adapted, []);
  assert.equal(obstacles.length, 1);
  assert.match(
    obstacles[0]?.message ?? "",
    /does not leave the host: the policy of chain forward of table inet filter is drop/,
  );
  assert.equal(reaches(pod, WORLD.v4), false);
  execFileSync("sh", ["-c", obstacles[0]?.hint ?? "false"]);
  await reached(pod, WORLD.v4);
  await reached(pod, WORLD.v6);
  assert.deepEqual(await letPodsThrough(port, WISH), { adapted: [], obstacles: [] });
});

test("rules made while they were allowed go with the last pod, allowed or not by then", {
  ...requires("root", "ip", "nft"),
}, async (t) => {
  execFileSync("nft", ["flush", "ruleset"]);
  docker();
  const before = rulesInForce();
  const folder = "/run/podtap-adapt";
  const paths = pathsFrom({ PODTAP_STATE_DIR: join(folder, "state"), PODTAP_RUN_DIR: join(folder, "run") });
  for (const path of [paths.state, paths.run]) mkdirSync(path, { recursive: true });
  const net = startNodeNet();
  t.after(() => net.close());
  const config = parseConfig("", "none");
  const adapting = await openHostNetwork(net, paths, { ...config, firewall: "adapt" }, false);
  const { adapted } = await adapting.use(() => adapting.prepare());
  assert.equal(adapted.length, 2, adapted.join("\n"));
  assert.notDeepEqual(rulesInForce(), before);
  const reporting = await openHostNetwork(net, paths, { ...config, firewall: "report" }, true);
  assert.deepEqual((await reporting.use(() => reporting.prepare())).adapted, []);
  await reporting.release();
  assert.deepEqual(rulesInForce(), before);
});
