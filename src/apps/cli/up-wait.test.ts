import assert from "node:assert/strict";
import { test } from "node:test";
import { upError } from "./up-wait.ts";

function hintOf(reason: string, message: string, namespace = "default"): string {
  return upError({ namespace, name: "web" }, { outcome: "failed", reason, message }, "podtap").hint ?? "";
}

test("why a VM did not come up leads to what to type", () => {
  assert.equal(
    hintOf("ErrImagePull", "PT-IMAGE-3: image podtap.local/demo-kernel:latest was not pulled"),
    "'make guest' in the checkout builds it: --image-override podtap.local/demo-kernel=oci:$PWD/.cache/guest/oci:demo-kernel; " +
      "all of it: podtap describe vmi web",
  );
  assert.match(
    hintOf("ErrImagePull", "quay.io/x was not pulled"),
    /^another image can stand in: --image-override/,
  );
  assert.match(
    hintOf("AgentNotConnected", "it runs, but", "lab"),
    /^does qemu-guest-agent run in the guest\? podtap console -n lab web; all of it: podtap describe -n lab vmi web$/,
  );
  assert.match(hintOf("FailedWire", "nft said no"), /^the launcher's log may say more: podtap logs web;/);
});
