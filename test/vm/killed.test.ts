/** kill -9, at any moment, of anything: the next run finishes or undoes, and in the end nothing is left. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  begin,
  DEMO_IMAGE,
  daemonLog,
  daemonPid,
  killHard,
  onDaemonHost,
  podtap,
  traces,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);
const NEEDS = requires("root", "ip", "nft", "tap", "qemu", "libvirt", "cni");
const SEED = Number(process.env["PODTAP_TEST_SEED"] ?? 20261121);
const ROUNDS = Number(process.env["PODTAP_TEST_ROUNDS"] ?? 12);

const VM = manifest(
  "victim",
  `
  terminationGracePeriodSeconds: 0
  domain:
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
        kernelArgs: console=ttyS0 quiet no_timer_check mitigations=off
    devices:
      interfaces: [{name: default, masquerade: {}, ports: [{port: 80}]}]
  networks: [{name: default, pod: {}}]`,
);

let clean: readonly string[] = [];
let upMs = 0;
let downMs = 0;

before(async () => {
  if (NEEDS.skip !== false) return;
  // Once undisturbed: caches are filled, and it is known how long things take.
  await podtap("up", VM, ...USE_LOCAL_IMAGES);
  await podtap("down", "--all");
  await daemonGone();
  clean = traces();
  upMs = await timed(() => podtap("up", VM));
  downMs = await timed(() => podtap("down", "--all"));
  await daemonGone();
  assert.deepEqual(traces(), clean);
});

test(`the daemon is killed ${ROUNDS} times during up and during down (seed ${SEED})`, NEEDS, async (t) => {
  const random = seeded(SEED);
  t.diagnostic(`up takes ${upMs.toFixed(0)} ms, down ${downMs.toFixed(0)} ms`);
  for (let round = 0; round < ROUNDS; round++) {
    const moment = (length: number, slot: number) => ((slot + random()) / ROUNDS) * length;
    const up = moment(upMs, round);
    // Another permutation, so that not every late kill of one meets a late kill of the other.
    const down = moment(downMs, (round * 5) % ROUNDS);
    const said = `round ${round}: up killed after ${up.toFixed(0)} ms, down after ${down.toFixed(0)} ms`;
    t.diagnostic(said);
    try {
      await killedAfter(up, "up", VM);
      if (round % 2 === 0) await podtap("up", VM);
      await killedAfter(down, "down", "--all");
      await podtap("down", "--all");
      await daemonGone();
      assert.deepEqual(traces(), clean);
    } catch (thrown) {
      throw new Error(`${said}\n${daemonLog()}`, { cause: thrown });
    }
  }
});

/** Begins a command, kills the daemon behind it, and waits until the command has come to some end. */
async function killedAfter(milliseconds: number, ...words: readonly string[]): Promise<void> {
  const command = begin(...words);
  const daemon = await eventually("there is a daemon", daemonPid, 10_000);
  await pause(milliseconds);
  await killHard(daemon);
  const said = await command.ended;
  process.stderr.write(`# ${words.join(" ")}: ${said.code} ${said.err}\n`);
}

async function daemonGone(): Promise<void> {
  await eventually("the daemon leaves", () => daemonPid() === undefined, 10_000);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

function manifest(name: string, spec: string): string {
  const file = `/run/${name}.yaml`;
  if (NEEDS.skip === false && process.env["PODTAP_TEST_DAEMON_HOST"] !== undefined) {
    writeFileSync(
      file,
      `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: ${name}}\nspec:${spec}\n`,
    );
  }
  return file;
}

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
