/** What `up` finds odd and the server finds odd, too, is told once; what only the server knows is told besides. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startPodlessDaemon } from "../../../test/support/podless-daemon.ts";
import { runCli } from "../../../test/support/run-cli.ts";
import type { Problem } from "../../base/problem.ts";
import { ok } from "../../base/result.ts";
import { validation } from "../node/admission.ts";
import { SETTINGS } from "./settings.ts";

const MANIFEST = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: old}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        devices: {interfaces: [{name: default, slirp: {}}]}
        memory: {guest: 128Mi}
      networks: [{name: default, pod: {}}]
`;

const ONLY_HERE: Problem = {
  code: "PT-TEST-1",
  severity: "warning",
  reason: "FieldValueInvalid",
  field: "spec",
  message: "only this machine knows – and says",
};

test("a manifest's warning is told once", async (t) => {
  const daemon = await startPodlessDaemon(
    {},
    [],
    [validation(SETTINGS), (object) => ok(object, [ONLY_HERE])],
  );
  t.after(() => daemon.close());
  const file = join(daemon.folder, "old.yaml");
  writeFileSync(file, MANIFEST);
  const { code, err } = await runCli(["up", file, "--no-start"], daemon.folder);
  assert.equal(code, 0, err);
  const lines = err.trimEnd().split("\n");
  assert.equal(lines.filter((line) => /slirp/.test(line) && /warning/.test(line)).length, 1, err);
  const down = await runCli(["down", file], daemon.folder);
  assert.deepEqual([down.code, down.err], [0, ""]);
  assert.equal(lines.filter((line) => line === "warning: only this machine knows ? and says").length, 1, err);
});
