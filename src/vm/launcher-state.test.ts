import assert from "node:assert/strict";
import { test } from "node:test";
import type { LauncherStatus } from "./launch-spec.ts";
import { LauncherState } from "./launcher-state.ts";

test("watchers are told the state at once and every real change", () => {
  const state = new LauncherState();
  const seen: LauncherStatus["phase"][] = [];
  const stop = state.watch(({ phase }) => seen.push(phase));
  state.enter("starting");
  state.enter("starting");
  state.enter("running");
  stop();
  state.enter("shutdown", "over");
  assert.deepEqual(seen, ["idle", "starting", "running"]);
});

test("a reason holds for its phase only", () => {
  const state = new LauncherState();
  state.enter("failed", "no disk");
  assert.equal(state.status.reason, "no disk");
  state.enter("starting");
  assert.equal(state.status.reason, undefined);
});

test("leases are one a link and protocol, and go with QEMU", () => {
  const state = new LauncherState();
  const lease = { link: "k6t-eth0", mac: "52:54:00:12:34:56", ip: "10.0.2.2", via: "dhcp4" } as const;
  state.leased(lease);
  state.leased({ ...lease, ip: "fd10:0:2::2", via: "dhcp6" });
  state.leased({ ...lease, mac: "52:54:00:12:34:57" });
  assert.deepEqual(
    state.status.leases.map(({ via, mac }) => `${via} ${mac}`),
    ["dhcp6 52:54:00:12:34:56", "dhcp4 52:54:00:12:34:57"],
  );
  state.update({ qemuPid: 7, agent: { connected: true, interfaces: [] } });
  state.qemuGone();
  state.enter("crashed");
  assert.deepEqual(state.status, {
    phase: "crashed",
    agent: { connected: false, interfaces: [] },
    leases: [],
  });
});
