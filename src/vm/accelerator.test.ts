import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { probeAccelerator } from "./accelerator.ts";

/** A program in QEMU's place: the probe must judge whatever it does. */
function place(t: TestContext, script: string) {
  const dir = mkdtempSync(join(tmpdir(), "pt-acc-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const emulator = join(dir, "qemu");
  writeFileSync(emulator, `#!/bin/sh\n${script}\n`);
  chmodSync(emulator, 0o755);
  const device = join(dir, "kvm");
  writeFileSync(device, "");
  return { dir, emulator, device, cachePath: join(dir, "cache", "kvm.json") };
}

test("a guest that reports back makes it KVM, once for a boot and a build", async (t) => {
  const where = place(t, 'echo run >>"$(dirname "$0")/runs"; exit 85');
  const first = await probeAccelerator(where);
  assert.equal(first.type, "kvm");
  assert.match(first.reason, /^a test guest ran under .*kvm in \d+ ms$/);
  assert.deepEqual(await probeAccelerator(where), first);
  assert.equal(readFileSync(join(where.dir, "runs"), "utf8"), "run\n");
  writeFileSync(where.emulator, "#!/bin/sh\necho another build >&2; exit 1\n");
  assert.deepEqual(await probeAccelerator(where), {
    type: "tcg",
    reason: `${where.device} is there, but QEMU could not use it: another build`,
  });
});

test("a guest that hangs is killed at the deadline", async (t) => {
  const where = place(t, 'echo $$ >"$(dirname "$0")/pid"; trap "" TERM; while :; do :; done');
  const verdict = await probeAccelerator({ ...where, deadlineMs: 300 });
  assert.equal(verdict.type, "tcg");
  assert.match(verdict.reason, /is there, but a test guest hung on it for 0\.\d s/);
  assert.ok(!existsSync(`/proc/${readFileSync(join(where.dir, "pid"), "utf8").trim()}`));
});

test("the guest of the probe boots and reports back: under emulation, where KVM may not work", async (t) => {
  if (!existsSync("/usr/bin/qemu-system-x86_64")) return t.skip("needs qemu");
  const words = `
    for word; do
      shift
      case $word in kvm) word=tcg ;; host) word=max ;; esac
      set -- "$@" "$word"
    done
    exec /usr/bin/qemu-system-x86_64 "$@"`;
  const verdict = await probeAccelerator({ ...place(t, words), deadlineMs: 60_000 });
  assert.equal(verdict.type, "kvm", verdict.reason);
});

test("without the device nothing is run", async (t) => {
  const where = place(t, 'echo run >>"$(dirname "$0")/runs"');
  const device = join(where.dir, "none");
  assert.deepEqual(await probeAccelerator({ ...where, device }), {
    type: "tcg",
    reason: `there is no ${device}`,
  });
  assert.ok(!existsSync(join(where.dir, "runs")));
});
