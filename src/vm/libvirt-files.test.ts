import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { copyCapabilities, libvirtFiles } from "./libvirt-files.ts";

test("a run directory whose sockets would not fit is refused with the length that does", () => {
  // The longest path below it: a monitor socket of a domain with a two-digit id and a cut name.
  const monitor = `${libvirtFiles(`/${"d".repeat(42)}`).home}/libvirt/qemu/lib/domain-10-${"n".repeat(20)}/monitor.sock`;
  assert.ok(monitor.length <= 107, String(monitor.length));
  assert.throws(
    () => libvirtFiles(`/${"d".repeat(43)}`),
    ({ code, hint }: { code: string; hint: string }) => code === "PT-LAUNCHER-1" && hint.includes("43 bytes"),
  );
});

test("only capability files are copied, and a missing cache is no error", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pt-caps-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const [from, to] = [join(dir, "from"), join(dir, "to")];
  mkdirSync(from);
  mkdirSync(to);
  const name = `${"0123456789abcdef".repeat(4)}.xml`;
  writeFileSync(join(from, name), "<qemuCaps/>");
  writeFileSync(join(from, "stamp"), "");
  copyCapabilities(from, to);
  copyCapabilities(join(dir, "none"), to);
  assert.deepEqual(readdirSync(to), [name]);
  assert.equal(readFileSync(join(to, name), "utf8"), "<qemuCaps/>");
});
