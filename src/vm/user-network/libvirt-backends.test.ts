import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mac } from "../../base/mac.ts";
import type { DomainInterface } from "../../domain/interface.ts";
import { LibvirtBackends, onLibvirtBackend } from "./libvirt-backends.ts";

const BASE = { mac: "02:00:00:00:00:01" as Mac, model: "e1000", mtu: 1500, romEnabled: false };
const BACKEND: DomainInterface = {
  ...BASE,
  type: "user-backend",
  alias: "ua-default",
  backend: "passt",
  attach: "stream",
  source: "eth0",
  addresses: [],
  forwards: [],
};
const TAP: DomainInterface = {
  ...BASE,
  type: "ethernet",
  alias: "ua-lan",
  target: { dev: "tap1", managed: false },
};
const NICS = [
  { name: "default", domain: BACKEND },
  { name: "lan", domain: TAP },
];

test("what libvirt runs is up when QEMU has it, and each return is a restart", () => {
  const backends = new LibvirtBackends();
  const told = (connected: boolean) => backends.told(NICS, "ua-default", connected)?.[0];
  assert.deepEqual(told(true), { nic: "default", program: "passt", state: "up", restarts: 0 });
  const gone = told(false);
  assert.deepEqual([gone?.state, gone?.restarts], ["down", 0]);
  assert.match(gone?.reason ?? "", /libvirt starts it once more/);
  assert.deepEqual(told(true), { nic: "default", program: "passt", state: "up", restarts: 1 });
  assert.deepEqual(told(true)?.restarts, 1, "told again");
});

test("of other NICs nothing is said", () => {
  assert.equal(new LibvirtBackends().told(NICS, "ua-lan", true), undefined);
  assert.equal(new LibvirtBackends().told(NICS, "ua-other", true), undefined);
  assert.ok(onLibvirtBackend(NICS));
  assert.ok(!onLibvirtBackend(NICS.slice(1)));
});
