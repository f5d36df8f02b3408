/** deploy/systemd/podtap.service is a unit that systemd takes, and runs what is there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { requires } from "../support/requires.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test("systemd takes the unit, word for word but for where podtap is", requires("systemd-analyze"), (t) => {
  const unit = readFileSync(join(ROOT, "deploy/systemd/podtap.service"), "utf8");
  const folder = mkdtempSync(join(tmpdir(), "podtap-unit-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "podtap.service");
  assert.match(unit, /^ExecStart=\/usr\/local\/bin\/podtap node$/m);
  const verify = (text: string): string => {
    writeFileSync(file, text);
    const { status, stderr } = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", "--recursive-errors=no", file],
      {
        encoding: "utf8",
      },
    );
    return `${status} ${stderr}`;
  };
  const here = unit.replaceAll("/usr/local/bin/podtap", join(ROOT, "bin", "podtap"));
  assert.equal(verify(here), "0 ");
  // It would say so.
  assert.match(verify(here.replace("KillMode=process", "KillMode=proces")), /kill mode/);
  assert.match(verify(unit.replaceAll("/usr/local/bin/podtap", "/nowhere/podtap")), /\/nowhere\/podtap/);
});
