/** What is asked of every firewall that podtap is to stand beside, once its program runs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import type { TestContext } from "node:test";
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
} from "./firewalled-host.ts";

export interface Firewall {
  /** To its default policies; resolves when its rules are in the kernel. */
  start(): Promise<void>;
  /** What its owner does to it at any time. */
  reload(): Promise<void>;
  /** IP versions that it drops by default. */
  readonly drops: readonly ("v4" | "v6")[];
  /** What is told where nothing may be changed: all obstacles, in order. */
  readonly told: readonly RegExp[];
  readonly adapted: readonly RegExp[];
  /** Does it forget at a reload what it was told at run time? */
  readonly forgets: boolean;
}

const DECLARED = { address: "10.78.0.1", port: 8080 };

export async function standBeside(t: TestContext, firewall: Firewall): Promise<void> {
  const { pod, world } = twoStations(t);
  const port = hostPort();
  const out = async (): Promise<void> => {
    for (const version of ["v4", "v6"] as const) await reached(pod, WORLD[version]);
  };
  const cut = (): void => {
    for (const version of firewall.drops)
      assert.equal(reaches(pod, WORLD[version]), false, `${version} is cut`);
  };
  declarePort();
  await out();
  await reached(world, DECLARED.address, DECLARED.port);

  await firewall.start();
  cut();
  const before = rulesInForce();

  const told = await letPodsThrough(port, { ...WISH, adapt: false });
  assert.deepEqual(told.adapted, []);
  assertLike(
    told.obstacles.map(({ message }) => message),
    firewall.told,
  );
  assert.ok(
    port.ran.every((command) => command.endsWith(" -S")),
    `only looked: ${port.ran.join(", ")}`,
  );

  const first = await letPodsThrough(port, WISH);
  assert.deepEqual(first.obstacles, []);
  assertLike(first.adapted, firewall.adapted);
  await out();
  await reached(world, DECLARED.address, DECLARED.port);
  for (const version of firewall.drops) {
    assert.equal(reaches(world, POD[version]), false, `${version}: a stranger's packet is not let in`);
  }
  port.ran.length = 0;
  assert.deepEqual(await letPodsThrough(port, WISH), { adapted: [], obstacles: [] });
  assert.deepEqual(port.ran, [], "the second look runs no program");

  await firewall.reload();
  if (firewall.forgets) cut();
  assert.deepEqual((await letPodsThrough(port, WISH)).obstacles, []);
  await out();

  await withdraw(port, BRIDGE);
  assert.deepEqual(rulesInForce(), before);
  port.ran.length = 0;
  await withdraw(port, BRIDGE);
  assert.deepEqual(port.ran, [], "what is gone is not taken away again");

  for (const hint of new Set(told.obstacles.map(({ hint }) => hint))) {
    execFileSync("sh", ["-c", hint], { stdio: "ignore" });
  }
  await out();
}

/** As podtap lets a Service or a declared port in: translated. */
function declarePort(): void {
  const { port } = DECLARED;
  execFileSync("nft", [
    `table ip podtap-declared { chain in { type nat hook prerouting priority dstnat; iifname "wan0" tcp dport ${port} dnat to ${POD.v4}:80; }; }`,
  ]);
}

function assertLike(lines: readonly string[], patterns: readonly RegExp[]): void {
  assert.equal(lines.length, patterns.length, lines.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(lines[i] ?? "", pattern);
}

/** Programs write their settings below /etc; on a layer that goes with the test's mount namespace. */
export function privateEtc(): void {
  const layer = "/run/etc-layer";
  execFileSync("mkdir", ["-p", `${layer}/upper`, `${layer}/work`]);
  const options = `lowerdir=/etc,upperdir=${layer}/upper,workdir=${layer}/work`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, "/etc"]);
}
