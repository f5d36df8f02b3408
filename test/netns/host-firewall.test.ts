/**
 * Firewalls that drop what is forwarded, as Docker, ufw and hand-written rulesets write their rules (the programs
 * themselves are not run): a pod behind podtap's bridge reaches a station beyond the host all the same, or the rule
 * that kills is named.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { test } from "node:test";
import { type FirewallPort, letPodsThrough, withdraw } from "../../src/cluster/local/cni/host-firewall.ts";
import { type TestPod, testPod } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";
import { requires } from "../support/requires.ts";

onPrivateHost(import.meta.filename);

const BRIDGE = "podtap0";
const WISH = { bridge: BRIDGE, uplink: "wan0", adapt: true };
const port: FirewallPort = {
  ruleset: async () => JSON.parse(execFileSync("nft", ["-j", "list", "ruleset"], { encoding: "utf8" })),
  run: async (program, args) => {
    const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
    return { code: status ?? -1, said: stderr ?? "" };
  },
};

/** pod 10.77.0.2 ─ podtap0 10.77.0.1 (this namespace) wan0 10.78.0.1 ─ world 10.78.0.2 */
function twoStations(t: Parameters<typeof testPod>[0]): { readonly pod: TestPod; readonly world: TestPod } {
  execFileSync("nft", ["flush", "ruleset"]);
  const pod = testPod(t, "fw-pod");
  const world = testPod(t, "fw-world");
  const run = (line: string): void => void execFileSync("ip", line.split(" "));
  run(`link add ${BRIDGE} type bridge`);
  // A namespace takes its ends along some time after it is deleted; the next test wants the names at once.
  t.after(() => {
    for (const link of ["wan0", "vp"]) spawnSync("ip", ["link", "delete", link]);
    run(`link delete ${BRIDGE}`);
  });
  run(`address add 10.77.0.1/24 dev ${BRIDGE}`);
  run(`link set ${BRIDGE} up`);
  run(`link add wan0 type veth peer name eth0 netns ${world.name}`);
  run("address add 10.78.0.1/24 dev wan0");
  run("link set wan0 up");
  run(`link add vp type veth peer name eth0 netns ${pod.name}`);
  run(`link set vp master ${BRIDGE} up`);
  for (const [one, address, gateway] of [
    [pod, "10.77.0.2/24", "10.77.0.1"],
    [world, "10.78.0.2/24", "10.78.0.1"],
  ] as const) {
    one.run("ip", "address", "add", address, "dev", "eth0");
    one.run("ip", "link", "set", "eth0", "up");
    one.run("ip", "route", "add", "default", "via", gateway);
  }
  execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
  return { pod, world };
}

function reaches(pod: TestPod, address: string): boolean {
  return spawnSync("ip", ["netns", "exec", pod.name, "ping", "-c1", "-W1", address]).status === 0;
}

const iptables = (...args: readonly string[]): void => void execFileSync("iptables", ["-w", ...args]);

test("beside Docker: out it goes, in comes nothing new", requires("root", "ip", "nft"), async (t) => {
  const { pod, world } = twoStations(t);
  iptables("-P", "FORWARD", "DROP");
  for (const chain of ["DOCKER-USER", "DOCKER-FORWARD"]) {
    iptables("-N", chain);
    iptables("-A", "FORWARD", "-j", chain);
  }
  iptables("-A", "DOCKER-USER", "-j", "RETURN");
  iptables("-A", "DOCKER-FORWARD", "-i", "docker0", "-j", "ACCEPT");
  assert.equal(reaches(pod, "10.78.0.2"), false, "the firewall works");
  const { adapted, obstacles } = await letPodsThrough(port, WISH);
  assert.deepEqual(obstacles, []);
  assert.ok(
    adapted.length === 2 && adapted.every((line) => line.includes("DOCKER-USER")),
    adapted.join("\n"),
  );
  assert.ok(reaches(pod, "10.78.0.2"));
  assert.equal(reaches(world, "10.77.0.2"), false, "a stranger's packet to a pod is still Docker's to drop");
  assert.deepEqual(await letPodsThrough(port, WISH), { adapted: [], obstacles: [] });
  await withdraw(port, BRIDGE);
  assert.equal(reaches(pod, "10.78.0.2"), false);
  assert.doesNotMatch(execFileSync("iptables-save", { encoding: "utf8" }), /podtap/);
});

test("beside ufw, and after it was reloaded", requires("root", "ip", "nft"), async (t) => {
  const { pod } = twoStations(t);
  const enable = (): void => {
    iptables("-F", "FORWARD");
    iptables("-P", "FORWARD", "DROP");
    iptables("-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT");
  };
  enable();
  await letPodsThrough(port, WISH);
  assert.ok(reaches(pod, "10.78.0.2"));
  enable();
  assert.equal(reaches(pod, "10.78.0.2"), false, "the reload took our rules along");
  await letPodsThrough(port, WISH);
  assert.ok(reaches(pod, "10.78.0.2"));
});

test("a hand-written ruleset is left alone, and its rule named with what to type", {
  ...requires("root", "ip", "nft"),
}, async (t) => {
  const { pod } = twoStations(t);
  const rules =
    "table inet filter {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n}\n}";
  execFileSync("nft", [rules]);
  const { adapted, obstacles } = await letPodsThrough(port, WISH);
  assert.deepEqual(adapted, []);
  assert.equal(obstacles.length, 1);
  assert.match(obstacles[0]?.message ?? "", /policy of chain forward of table inet filter is drop/);
  assert.equal(reaches(pod, "10.78.0.2"), false);
  execFileSync("sh", ["-c", obstacles[0]?.hint ?? "false"]);
  assert.ok(reaches(pod, "10.78.0.2"), "the hint is a cure");
});
