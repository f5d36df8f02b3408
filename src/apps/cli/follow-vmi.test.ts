import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { whyNot } from "./follow-vmi.ts";

test("the last warning tells more than a condition, a condition more than the phase", () => {
  const failed = {
    ...vmi(),
    status: {
      phase: "Failed" as const,
      conditions: [
        { type: "Ready", status: "False" as const, reason: "GuestNotRunning", message: "not running" },
        { type: "Synchronized", status: "False" as const, reason: "FailedWire", message: "nft said no" },
      ],
    },
  };
  const warning = { reason: "ErrImagePull", message: "no such image" } as KubeEvent;
  assert.deepEqual(whyNot(failed, { warnings: [warning] }), {
    reason: "ErrImagePull",
    message: "no such image",
  });
  assert.deepEqual(whyNot(failed, { warnings: [] }), { reason: "FailedWire", message: "nft said no" });
  assert.deepEqual(whyNot({ ...vmi(), status: { phase: "Failed" } }, { warnings: [] }), {
    reason: "NotReady",
    message: "the VM's phase is Failed",
  });
});
