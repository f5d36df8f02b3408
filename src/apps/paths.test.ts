import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathsFrom, rootlessPaths } from "./paths.ts";

test("root's places, and those of a user by the XDG specification", () => {
  assert.equal(pathsFrom({}).socket, "/run/podtap/podtap.sock");
  const environment = { XDG_STATE_HOME: "/home/ann/state", XDG_RUNTIME_DIR: "/run/user/54321" };
  const paths = rootlessPaths(environment, 54321);
  assert.equal(paths.state, "/home/ann/state/podtap");
  assert.equal(paths.socket, "/run/user/54321/podtap/podtap.sock");
  // Relative ones do not count.
  const bare = rootlessPaths({ XDG_RUNTIME_DIR: "run" }, 54321);
  assert.equal(bare.run, "/tmp/podtap-54321");
  assert.match(bare.state, /\/\.local\/state\/podtap$/);
});

test("a run folder that others may write, own or lead elsewhere is not trusted", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "pt-paths-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const uid = process.getuid?.() ?? 0;
  const at = (run: string, who = uid) => rootlessPaths({ PODTAP_RUN_DIR: run }, who);
  assert.equal(at(folder).run, folder);
  assert.throws(() => at(folder, uid + 1), { code: "PT-ROOTLESS-7" });
  symlinkSync(folder, join(folder, "elsewhere"));
  assert.throws(() => at(join(folder, "elsewhere")), { code: "PT-ROOTLESS-7" });
  chmodSync(folder, 0o750);
  assert.throws(() => at(folder), { code: "PT-ROOTLESS-7" });
});
