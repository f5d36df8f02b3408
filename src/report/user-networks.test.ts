import assert from "node:assert/strict";
import { test } from "node:test";
import {
  NETWORK_BACKEND_DOWN,
  type UserNetworkFacts,
  userNetworkEvents,
  withUserNetworks,
} from "./user-networks.ts";

const UP: UserNetworkFacts = { nic: "default", program: "netd", state: "up", restarts: 0 };
const DOWN: UserNetworkFacts = { ...UP, state: "down", reason: "was ended by SIGKILL" };
const AGAIN: UserNetworkFacts = { ...DOWN, state: "up", restarts: 1 };

test("the condition is there while a network is down, says why, and goes", () => {
  assert.deepEqual(withUserNetworks([], [UP], "t1"), []);
  const [condition] = withUserNetworks([], [UP, { ...DOWN, nic: "lan" }], "t1");
  assert.equal(condition?.type, NETWORK_BACKEND_DOWN);
  assert.equal(condition?.message, "netd of NIC lan was ended by SIGKILL; started again 0 times");
  assert.deepEqual(withUserNetworks([condition!], [AGAIN], "t2"), []);
});

test("an end and a return are one event each, however they are looked at", () => {
  const reasons = (...states: readonly UserNetworkFacts[]) =>
    states.slice(1).flatMap((now, i) => userNetworkEvents([states[i]!], [now]).map(({ reason }) => reason));
  const both = ["NetworkBackendDied", "NetworkBackendBack"];
  const starting: UserNetworkFacts = { ...AGAIN, state: "starting" };
  assert.deepEqual(reasons(UP, DOWN, starting, AGAIN), both);
  assert.deepEqual(reasons(UP, DOWN, AGAIN), both);
  assert.deepEqual(reasons(UP, starting, AGAIN), both);
  assert.deepEqual(reasons(UP, AGAIN), both);
  assert.deepEqual(reasons(UP, UP), []);
  assert.deepEqual(userNetworkEvents([], [DOWN]), []);
});
