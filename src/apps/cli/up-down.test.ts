/** `up`, `down`, `get` and `describe` against the real API and controllers; only the machine is a stand-in. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { startPodlessDaemon } from "../../../test/support/podless-daemon.ts";
import { runCli } from "../../../test/support/run-cli.ts";
import type { VmiStatus } from "../../api/types.ts";

const RUNNING: VmiStatus = {
  phase: "Running",
  conditions: [{ type: "Ready", status: "True" }],
  accelerator: { type: "tcg", reason: "no KVM here" },
  interfaces: [
    {
      name: "default",
      mac: "02:00:00:00:00:01",
      binding: "masquerade",
      ipAddress: "10.244.1.7",
      addresses: [
        { ip: "10.244.1.7", owner: "pod", source: "cni" },
        { ip: "10.0.2.2", owner: "guest", source: "plan" },
      ],
    },
  ],
};

const daemon = await startPodlessDaemon({
  start: async (vmi, { cluster, setVmi }) => {
    const record = (type: "Normal" | "Warning", reason: string, message: string): Promise<void> =>
      cluster.recordEvent({ about: vmi, type, reason, message });
    if (vmi.metadata.name.startsWith("broken")) {
      await record("Warning", "ErrImagePull", "podtap.local/nowhere: no such image");
      await setVmi(vmi, { phase: "Failed" });
      return;
    }
    if (vmi.metadata.name.startsWith("stuck")) {
      await record("Warning", "NetworkNotReady", "CNI plugin bridge is missing\u001b[2J");
      return;
    }
    await record("Normal", "Started", "the guest runs");
    await setVmi(vmi, RUNNING);
  },
});
after(() => daemon.close());

function manifest(name: string, spec = "runStrategy: Always", kind = "VirtualMachine"): string {
  const inner = `
      domain:
        devices:
          interfaces: [{name: default, masquerade: {}, ports: [{name: http, port: 80}]}]
        memory: {guest: 128Mi}
        firmware: {kernelBoot: {container: {image: "podtap.local/x:1", kernelPath: /k}}}
      networks: [{name: default, pod: {}}]
`;
  const body =
    kind === "VirtualMachine"
      ? `  ${spec}\n  template:\n    metadata: {labels: {app: ${name}}}\n    spec:${inner}`
      : inner;
  const path = join(daemon.folder, `${name}.yaml`);
  writeFileSync(path, `apiVersion: kubevirt.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec:\n${body}`);
  return path;
}

const cli = (...words: readonly string[]): ReturnType<typeof runCli> => runCli(words, daemon.folder);

test("up waits until the VM runs, says where it is reached, and a second time changes nothing", async () => {
  const file = manifest("web");
  const first = await cli("up", file, "--timeout", "20s");
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^virtualmachine\.kubevirt\.io\/web created$/m);
  assert.match(first.err, /Started +the guest runs/);
  assert.match(first.out, /^web is running after .*on tcg \(no KVM here\)$/m);
  assert.match(first.out, /pod {4}10\.244\.1\.7 .*dial this/);
  assert.match(first.out, /guest {2}10\.0\.2\.2/);
  assert.match(first.out, /ports {2}80\/TCP http/);
  const second = await cli("up", file, "--timeout", "20s");
  assert.equal(second.code, 0, second.err);
  assert.match(second.out, /^virtualmachine\.kubevirt\.io\/web unchanged$/m);
  assert.match(second.out, /^web is running on tcg/m);
});

test("down by file and by name waits until everything is gone, and may be repeated", async () => {
  const file = manifest("gone");
  await cli("up", file, "--timeout", "20s");
  const down = await cli("down", file);
  assert.equal(down.code, 0, down.err);
  assert.equal(down.out, "virtualmachine.kubevirt.io/gone deleted\n");
  assert.equal((await cli("get", "all", "-l", "app=gone", "-o", "name")).out, "");
  assert.match((await cli("down", "gone")).out, /gone not found, nothing to do/);
});

test("a VM that fails ends up with its reason and its way out", async () => {
  const result = await cli("up", manifest("broken"), "--timeout", "20s");
  assert.equal(result.code, 1);
  assert.match(result.err, /broken did not come up: podtap\.local\/nowhere: no such image \(ErrImagePull\)/);
  assert.match(result.err, /hint: another image can stand in: --image-override/);
  assert.match(result.err, /left as made: virtualmachine\.kubevirt\.io\/broken/);
  assert.doesNotMatch(result.out, /is running/);
});

test("with --rm nothing is left of a VM that fails", async () => {
  const result = await cli("up", manifest("broken-rm"), "--rm", "--timeout", "20s");
  assert.equal(result.code, 1);
  assert.match((await cli("get", "vm", "broken-rm")).err, /"broken-rm" not found/);
});

test("a time-out names what was last said, without its escape sequences", async () => {
  const result = await cli("up", manifest("stuck"), "--timeout", "700ms");
  assert.equal(result.code, 1);
  assert.match(
    result.err,
    /stuck did not come up: not up after 0\.7s: CNI plugin bridge is missing.*\(NetworkNotReady\)/,
  );
  assert.ok(!result.err.includes("\u001b"), "no control characters reach the terminal");
});

test("a guest without its agent is told from one that does not run", async () => {
  const result = await cli("up", manifest("silent"), "--wait=agent", "--timeout", "700ms");
  assert.equal(result.code, 1);
  assert.match(
    result.err,
    /silent did not come up: not up after 0\.7s: it runs, but its guest agent does not answer/,
  );
  assert.match(result.err, /hint: does qemu-guest-agent run in the guest\? podtap console silent/);
});

test("a halted VM is started and the user is told; --no-start leaves it", async () => {
  const halted = await cli("up", manifest("halted", "runStrategy: Halted"), "--no-start");
  assert.equal(halted.code, 0, halted.err);
  assert.equal((await cli("get", "vmi", "halted")).code, 1);
  const started = await cli("up", manifest("halted", "runStrategy: Halted"), "--timeout", "20s");
  assert.equal(started.code, 0, started.err);
  assert.match(started.err, /note: vm\/halted says runStrategy: Halted; up starts it/);
  assert.match(started.out, /halted is running/);
});

test("Ctrl-C says what is left and exits with 130", async () => {
  const stop = new AbortController();
  const running = runCli(["up", manifest("stuck-c"), "--timeout", "20s"], daemon.folder, stop.signal);
  const deadline = Date.now() + 10_000;
  while ((await cli("get", "vmi", "stuck-c", "-o", "name")).code !== 0) assert.ok(Date.now() < deadline);
  stop.abort();
  const { code, err } = await running;
  assert.equal(code, 130);
  assert.match(
    err,
    /left as made: virtualmachine\.kubevirt\.io\/stuck-c; podtap down .*stuck-c\.yaml removes them/,
  );
});

test("a manifest that changed while its VM runs is not passed off as in force", async () => {
  const file = manifest("changed");
  await cli("up", file, "--timeout", "20s");
  writeFileSync(file, readFileSync(file, "utf8").replace("port: 80", "port: 81"));
  const vm = await cli("up", file, "--timeout", "20s");
  assert.equal(vm.code, 0, vm.err);
  assert.match(vm.err, /note: vm\/changed changed, and its instance runs on as it was/);
  const lone = manifest("changed-lone", "", "VirtualMachineInstance");
  await cli("up", lone, "--timeout", "20s");
  assert.doesNotMatch((await cli("up", lone, "--timeout", "20s")).err, /error|note/);
  writeFileSync(lone, readFileSync(lone, "utf8").replace("port: 80", "port: 81"));
  const vmi = await cli("up", lone, "--timeout", "20s");
  assert.equal(vmi.code, 1);
  assert.match(vmi.err, /vmi\/changed-lone runs with another spec, and an instance cannot be changed/);
});

test("get prints tables, several kinds with their names, and objects in every format", async () => {
  await cli("up", manifest("lone", "", "VirtualMachineInstance"), "--timeout", "20s");
  const table = await cli("get", "vmi", "lone");
  assert.match(table.out, /^NAME +AGE +PHASE +IP/);
  assert.match(table.out, /^lone +\S+ +Running +10\.244\.1\.7/m);
  assert.match((await cli("get")).out, /^virtualmachineinstance\.kubevirt\.io\/lone /m);
  assert.equal((await cli("get", "vmi/lone", "-o", "name")).out, "virtualmachineinstance.kubevirt.io/lone\n");
  const json = JSON.parse((await cli("get", "vmi", "lone", "-o", "json")).out);
  assert.equal(json.status.interfaces[0].ipAddress, "10.244.1.7");
  assert.equal((await cli("get", "vmi", "lone", "-o", "jsonpath={.status.phase}")).out, "Running");
  const none = await cli("get", "svc");
  assert.deepEqual([none.code, none.out, none.err], [0, "", "No resources found in default namespace.\n"]);
  const wrong = await cli("get", "sheep");
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /no kind called 'sheep'/);
});

test("describe shows both addresses with their owner, and the events", async () => {
  await cli("up", manifest("told"), "--timeout", "20s");
  const { out } = await cli("describe", "vmi", "told");
  assert.match(out, /10\.0\.2\.2 +guest/);
  assert.match(out, /Normal +Started/);
});

test("plan of a running VM falls back to an example where the daemon has none", async () => {
  const { code, err, out } = await cli("plan", manifest("planned"));
  assert.equal(code, 0, err);
  assert.match(err, /EXAMPLE/);
  assert.match(out, /^nic default {2}masquerade/);
});
