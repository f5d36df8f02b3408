/** kill -9, at any moment, of anything: the next run finishes or undoes, and in the end nothing is left. */
import assert from "node:assert/strict";
import { get } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Pod, Service, Vmi } from "../../src/api/types.ts";
import type { KubeEvent } from "../../src/cluster/event-recorder.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import { EVENTS, PODS, SERVICES, VMIS } from "../../src/cluster/port.ts";
import { launcherClient } from "../../src/vm/launcher-client.ts";
import {
  api,
  begin,
  DEMO_IMAGE,
  daemonLog,
  daemonPid,
  daemonPids,
  forgetCaches,
  killHard,
  launcherSocket,
  manifest,
  onDaemonHost,
  podProcess,
  podtap,
  traces,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);
const NEEDS = requires("root", "ip", "nft", "tap", "qemu", "libvirt", "cni");
const SEED = Number(process.env["PODTAP_TEST_SEED"] ?? 20261121);
const ROUNDS = Number(process.env["PODTAP_TEST_ROUNDS"] ?? 6);
/** The slowest that a machine full of other tests was seen to do, and as much again. */
const LONG_MS = 60_000;

const NIC = `
    devices:
      interfaces: [{name: default, masquerade: {}, ports: [{port: 80}]}]
  networks: [{name: default, pod: {}}]`;
const DEMO_GUEST = `
  domain:
    memory: {guest: 256Mi}
    firmware:
      kernelBoot:
        container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
        kernelArgs: console=ttyS0 quiet no_timer_check mitigations=off${NIC}`;
/** Nothing to boot: firmware that waits. */
const EMPTY_GUEST = `
  terminationGracePeriodSeconds: 0
  domain:
    memory: {guest: 64Mi}${NIC}`;

/** As after an installation and a first use; measured, so that every moment of a run can be hit. */
let clean: readonly string[] = [];
let victim = "";
let upMs = 0;
let downMs = 0;

before(async () => {
  if (NEEDS.skip !== false) return;
  victim = manifest(vmi("victim", `\n  terminationGracePeriodSeconds: 0${DEMO_GUEST}`));
  await podtap("up", victim, ...USE_LOCAL_IMAGES);
  await downWithoutTrace();
  clean = traces();
  upMs = await timed(() => podtap("up", victim));
  downMs = await timed(() => podtap("down", "--all"));
  await daemonGone();
  assert.deepEqual(traces(), clean);
});

after(() => api.close());

test(`the daemon is killed ${ROUNDS} times during up and during down (seed ${SEED})`, NEEDS, async (t) => {
  const random = seeded(SEED);
  t.diagnostic(`up takes ${upMs.toFixed(0)} ms, down ${downMs.toFixed(0)} ms`);
  for (let round = 0; round < ROUNDS; round++) {
    const moment = (length: number, slot: number) => ((slot + random()) / ROUNDS) * length;
    const up = moment(upMs, round);
    // In another order, so that not every late kill of one meets a late kill of the other.
    const down = moment(downMs, (round * 5) % ROUNDS);
    const said = `round ${round}: up killed after ${up.toFixed(0)} ms, down after ${down.toFixed(0)} ms`;
    t.diagnostic(said);
    try {
      // The command has the daemon back and goes on, or is gone too and leaves it to the next one.
      const goesOn = round % 2 === 0;
      await killedAfter(up, goesOn, "up", victim);
      if (round % 3 === 0) await podtap("up", victim);
      await killedAfter(down, goesOn, "down", "--all");
      await downWithoutTrace();
    } catch (thrown) {
      throw new Error(`${said}\n${daemonLog()}`, { cause: thrown });
    }
  }
});

test("the first daemon of a machine is killed while it learns what the machine can do", NEEDS, async () => {
  for (const moment of [600, 1200]) {
    forgetCaches();
    await killedAfter(moment, true, "up", victim, ...USE_LOCAL_IMAGES);
    await downWithoutTrace();
  }
});

test("a daemon that is asked to end while a VM starts does not call the start failed", NEEDS, async () => {
  for (const moment of ["SandboxCreated", "NetworkAttached"]) {
    const command = begin("up", victim);
    const daemon = await eventually("there is a daemon", daemonPid, LONG_MS);
    await eventually(moment, async () => (await reasons()).includes(moment), LONG_MS);
    process.kill(daemon, "SIGTERM");
    const { code, err } = await command.ended;
    assert.equal(code, 0, err);
    const warnings = (await events()).filter(({ type }) => type === "Warning");
    assert.deepEqual(
      warnings.map(({ message }) => message),
      [],
    );
    await downWithoutTrace();
  }
});

test("up that is interrupted or killed leaves the VM to the daemon", NEEDS, async () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    const command = begin("up", victim);
    await eventually(
      "the VM is there",
      () => api.find(VMIS, { namespace: "default", name: "victim" }),
      LONG_MS,
    );
    command.process.kill(signal);
    const { code, err } = await command.ended;
    if (signal === "SIGINT") {
      assert.equal(code, 130);
      assert.match(err, /left as made: virtualmachineinstance\S*\/victim; .* down .* removes them/);
    }
    await phaseOf("victim", "Running");
    assert.match(await podtap("up", victim), /victim unchanged/);
    await downWithoutTrace();
  }
});

test("up is interrupted while it waits for another daemon", NEEDS, async () => {
  const command = begin("up", victim);
  await eventually("the VM is there", () => vmiNamed("victim"), LONG_MS);
  await killHard(daemonPid() ?? assert.fail("no daemon"));
  await eventually("it waits", () => command.heard.err.includes("waiting for the next"), LONG_MS);
  command.process.kill("SIGINT");
  const { code, err } = await command.ended;
  assert.equal(code, 130, err);
  assert.match(err, /left as made: virtualmachineinstance\S*\/victim/);
  await downWithoutTrace();
});

test("commands race for a daemon, with one that leaves and among each other", NEEDS, async () => {
  await podtap("get", "vmi");
  for (let again = 0; again < 3; again++) {
    await podtap("down", "--all");
    const several = ["vm", "vmi", "svc"].map((kind) => podtap("get", kind));
    await Promise.all(several);
    await eventually("all daemons but one have left", () => daemonPids().length === 1);
  }
  await downWithoutTrace();
});

test("podtap node takes over from a daemon that a command started, and from no other", NEEDS, async (t) => {
  await podtap("up", victim);
  const uid = await uidOf("victim");
  const started = daemonPid();
  const kept = begin("node");
  t.after(() => kept.process.kill("SIGKILL"));
  await eventually("it has taken over", () => daemonPid() === kept.process.pid, LONG_MS);
  assert.notEqual(started, kept.process.pid);
  await eventually("it answers", async () => (await uidOf("victim")) === uid, LONG_MS);
  await phaseOf("victim", "Running");
  const second = await begin("node").ended;
  assert.equal(second.code, 3);
  assert.match(second.err, /a podtap daemon already runs/);
  await podtap("down", "--all");
  assert.equal(daemonPid(), kept.process.pid, "who keeps one is asked to end it");
  kept.process.kill("SIGTERM");
  assert.equal((await kept.ended).code, 0);
  assert.deepEqual(traces(), clean);
});

test(
  "whatever of a running VM is killed, the VM goes on, or fails with a reason and is made anew",
  NEEDS,
  async (t) => {
    const web = manifest(
      vmi("web", `\n  terminationGracePeriodSeconds: 30${DEMO_GUEST}`),
      `apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 8080, targetPort: 80}]}`,
    );
    const others = manifest(
      ...["alone-qemu", "alone-init", "alone-lost", "alone-off"].map((name) => vmi(name, EMPTY_GUEST)),
      ...["always-qemu", "always-init"].map((name) => vm(name, EMPTY_GUEST)),
    );
    // Boots while the others are at it.
    await podtap("up", web);
    await podtap("up", others);
    const pods = new Map<string, string>();
    for (const pod of (await api.list<Pod>(PODS, { namespace: "default" })).items) {
      pods.set(pod.metadata.labels?.["vm.kubevirt.io/name"] ?? "", identityOf(pod).id);
    }
    const podOf = (name: string): string => pods.get(name) ?? assert.fail(`no pod of ${name}`);
    const former = await Promise.all(["always-qemu", "always-init"].map((name) => uidOf(name)));

    // QEMU and pid 1, under the daemon's eyes.
    for (const name of ["alone-qemu", "always-qemu"]) await killHard(podProcess(podOf(name), "qemu"));
    for (const name of ["alone-init", "always-init"]) await killHard(podProcess(podOf(name), "catatonit"));
    assert.match(await failureOf("alone-qemu"), /QEMU ended unexpectedly/);
    assert.match(await failureOf("alone-init"), /launcher ended while the guest was running/);

    // The same while there is no daemon; and a guest that is off by its own will.
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    await killHard(podProcess(podOf("alone-lost"), "catatonit"));
    await launcherClient(launcherSocket(podOf("alone-off"))).shutdown(0);
    await podtap("get", "vmi");
    assert.match(await failureOf("alone-lost"), /lost while no daemon looked after it/);
    await phaseOf("alone-off", "Succeeded");

    // The one that runs has not noticed.
    const qemu = podProcess(podOf("web"), "qemu");
    const podIp = (await vmiNamed("web"))?.status?.interfaces?.[0]?.ipAddress ?? assert.fail("no address");
    const service = await api.get<Service>(SERVICES, { namespace: "default", name: "web" });
    const goesOn = async (): Promise<void> => {
      assert.equal(podProcess(podOf("web"), "qemu"), qemu);
      await answers(`http://${podIp}/`);
      await answers(`http://${service.spec.clusterIP}:8080/`);
    };
    const known = async (): Promise<void> => {
      await eventually("the agent is known", async () => isConnected(await vmiNamed("web")), LONG_MS);
      assert.match(await podtap("get", "vmi", "web"), /Running +\S+ +\S+ +True/);
      await podtap("plan", "web", "--exit-code");
    };
    await goesOn();
    await known();
    // Its libvirtd.
    const libvirtd = podProcess(podOf("web"), "libvirtd");
    await killHard(libvirtd);
    await eventually("another libvirtd", () => podProcess(podOf("web"), "libvirtd") !== libvirtd, LONG_MS);
    await goesOn();
    // Its launcher.
    const launcher = podProcess(podOf("web"), "launcher");
    await killHard(launcher);
    await eventually("another launcher", () => podProcess(podOf("web"), "launcher") !== launcher, LONG_MS);
    await goesOn();
    await known();
    // The daemon, politely, and with it the launcher.
    process.kill(daemonPid() ?? assert.fail("no daemon"), "SIGTERM");
    await daemonGone();
    await killHard(podProcess(podOf("web"), "launcher"));
    await goesOn();
    await podtap("get", "vmi");
    await known();
    await goesOn();

    // By now those that are always to run have had their pause.
    for (const [i, name] of ["always-qemu", "always-init"].entries()) {
      await phaseOf(name, "Running");
      assert.notEqual(await uidOf(name), former[i]);
    }
    t.diagnostic(
      `down of a guest that powers off: ${(await timed(() => podtap("down", "web"))).toFixed(0)} ms`,
    );
    await downWithoutTrace();
  },
);

/**
 * Begins a command and kills the daemon behind it. The command goes on to a good end, unless it is killed with it or
 * meets a daemon that ends before it ever answered.
 */
async function killedAfter(
  milliseconds: number,
  goesOn: boolean,
  ...words: readonly string[]
): Promise<void> {
  const command = begin(...words);
  const daemon = await eventually("there is a daemon", daemonPid, LONG_MS);
  await pause(milliseconds);
  if (!goesOn) command.process.kill("SIGKILL");
  await killHard(daemon);
  const { code, err } = await command.ended;
  const early = code === 3 && err.includes("the podtap daemon did not start: it was ended by SIGKILL");
  if (goesOn && !early) assert.equal(code, 0, err);
}

async function downWithoutTrace(): Promise<void> {
  await podtap("down", "--all");
  await daemonGone();
  if (clean.length > 0) assert.deepEqual(traces(), clean);
}

async function daemonGone(): Promise<void> {
  await eventually("the daemon leaves", () => daemonPid() === undefined, LONG_MS);
}

async function events(): Promise<readonly KubeEvent[]> {
  return (await api.list<KubeEvent>(EVENTS, { namespace: "default" })).items;
}

/** Of events about pods that are still there. */
async function reasons(): Promise<readonly string[]> {
  const uids = new Set((await api.list<Pod>(PODS)).items.map(({ metadata }) => metadata.uid));
  const vmis = new Set((await api.list<Vmi>(VMIS)).items.map(({ metadata }) => metadata.uid));
  return (await events())
    .filter(({ involvedObject: { uid } }) => uids.has(uid) || vmis.has(uid))
    .map(({ reason }) => reason);
}

function vmiNamed(name: string): Promise<Vmi | undefined> {
  return api.find<Vmi>(VMIS, { namespace: "default", name });
}

async function uidOf(name: string): Promise<string> {
  return (await vmiNamed(name))?.metadata.uid ?? assert.fail(`no VMI ${name}`);
}

function phaseOf(name: string, phase: string): Promise<Vmi> {
  return eventually(
    `${name} is ${phase}`,
    async () => {
      const found = await vmiNamed(name);
      if (found?.status?.phase === phase) return found;
      throw new Error(JSON.stringify(found?.status));
    },
    LONG_MS,
  );
}

/** Why it failed, as its status has it. */
async function failureOf(name: string): Promise<string> {
  const { status } = await phaseOf(name, "Failed");
  return status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
}

function isConnected(found: Vmi | undefined): boolean {
  return (
    found?.status?.conditions?.some(({ type, status }) => type === "AgentConnected" && status === "True") ??
    false
  );
}

/** A web server says 200; a guest that boots, or a rule that is being replaced, is waited for. */
async function answers(url: string): Promise<void> {
  await eventually(
    `${url} answers`,
    () =>
      new Promise<boolean>((resolve, reject) => {
        const asked = get(url, { agent: false, timeout: 2000 }, (answer) => {
          answer.resume();
          resolve(answer.statusCode === 200);
        });
        asked.once("timeout", () => asked.destroy(new Error("no answer")));
        asked.once("error", reject);
      }),
    LONG_MS,
  );
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

function vmi(name: string, spec: string): string {
  const metadata = `{name: ${name}, labels: {app: ${name}}}`;
  return `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: ${metadata}\nspec:${spec}\n`;
}

function vm(name: string, spec: string): string {
  const template = spec.replaceAll("\n", "\n    ");
  const head = `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: ${name}}\n`;
  return `${head}spec:\n  runStrategy: Always\n  template:\n    spec:${template}\n`;
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
