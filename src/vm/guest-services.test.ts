import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../test/support/captures.ts";
import {
  allServices,
  BRIDGE,
  dhcp4Config,
  GUEST_MAC,
  routerAdvertConfig,
} from "../../test/support/guest-configs.ts";
import type { GuestService } from "../guest/config.ts";
import { GUEST_SERVICE_FILTER } from "./guest-services/packet-filter.ts";
import { type GuestServices, guestServices } from "./guest-services.ts";
import type { GuestLease } from "./launch-spec.ts";
import type { FilterInstruction, PacketPort } from "./packet-port.ts";

/** One link in memory: what is put in is received, what is sent is kept. */
class MemoryPort implements PacketPort {
  readonly inbox: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  readonly calls: string[] = [];
  refusesFrames = false;
  #onReadable: ((errno: number) => void) | undefined;

  linkIndex(fd: number, link: string): number {
    this.calls.push(`find ${link} by ${fd}`);
    return 7;
  }
  listen(fd: number, ifindex: number, filter: readonly FilterInstruction[]): void {
    this.calls.push(`listen ${fd} on ${ifindex}${filter === GUEST_SERVICE_FILTER ? "" : " unfiltered"}`);
  }
  receive(): Uint8Array | undefined {
    return this.inbox.shift();
  }
  send(_fd: number, frame: Uint8Array): void {
    if (this.refusesFrames) throw new Error("ENOBUFS");
    this.sent.push(frame);
  }
  poll(fd: number, onReadable: (errno: number) => void): { close(): void } {
    this.#onReadable = onReadable;
    return { close: () => this.calls.push(`stop ${fd}`) };
  }
  wake(errno = 0): void {
    this.#onReadable?.(errno);
  }
  arrive(...frames: readonly Uint8Array[]): void {
    this.inbox.push(...frames);
    this.wake();
  }
}

interface Served {
  readonly port: MemoryPort;
  readonly clock: { ms: number };
  readonly leases: GuestLease[];
  readonly log: string[];
  readonly server: GuestServices;
}

const DHCP4: GuestService = { type: "dhcp4", link: BRIDGE, config: dhcp4Config() };

function served(services: readonly GuestService[] = [DHCP4]): Served {
  const port = new MemoryPort();
  const clock = { ms: 1000 };
  const leases: GuestLease[] = [];
  const log: string[] = [];
  const server = guestServices({
    port,
    descriptors: [3],
    clock: { now: () => clock.ms },
    log: (line) => log.push(line),
  });
  server.serve(services, (lease) => leases.push(lease));
  return { port, clock, leases, log, server };
}

function from(name: string, mac: readonly number[]): Uint8Array {
  const frame = capture(name);
  frame.set(mac, 6);
  return frame;
}

test("one socket serves all services of a link, with the filter in force", () => {
  const { port, server } = served(allServices());
  assert.deepEqual(port.calls, [`find ${BRIDGE} by 3`, "listen 3 on 7"]);
  const before = port.sent.length;
  port.arrive(capture("udhcpc-discover"), capture("dhclient6-solicit"), capture("kernel-router-solicit"));
  assert.equal(port.sent.length - before, 3);
  server.close();
  assert.equal(port.calls.at(-1), "stop 3");
});

test("a lease is told once a second at most, another MAC's sooner", () => {
  const { port, clock, leases } = served();
  const lease = { link: BRIDGE, mac: GUEST_MAC, ip: "10.0.2.2", via: "dhcp4" };
  for (let i = 0; i < 50; i++) port.arrive(capture("udhcpc-request"));
  assert.deepEqual(leases, [lease]);
  clock.ms += 1000;
  port.arrive(capture("udhcpc-request"));
  assert.equal(leases.length, 2);
  clock.ms += 99;
  port.arrive(from("udhcpc-request", [2, 0, 0, 0, 0, 9]));
  assert.equal(leases.length, 2);
  clock.ms += 1;
  port.arrive(from("udhcpc-request", [2, 0, 0, 0, 0, 9]));
  assert.equal(leases.at(-1)?.mac, "02:00:00:00:00:09");
});

test("what a guest releases or declines is logged once, however often it says so", () => {
  const { port, log } = served();
  for (let i = 0; i < 5; i++) port.arrive(capture("dhclient-release"));
  assert.deepEqual(log, [`${BRIDGE}: the guest (${GUEST_MAC}) released 10.0.2.2 by dhcp4; told once`]);
});

test("a flood is read in batches, so that the event loop is not starved", () => {
  const { port } = served();
  port.arrive(...Array.from({ length: 100 }, () => capture("udhcpc-discover")));
  assert.equal(port.sent.length, 64);
  port.wake();
  assert.equal(port.sent.length, 100);
});

test("refused, unclaimed and unsendable frames and socket errors are counted, and nothing ends the loop", () => {
  const { port, server } = served();
  const cut = capture("udhcpc-discover").subarray(0, 100);
  port.arrive(cut, new Uint8Array(0), capture("dhclient6-solicit"));
  port.refusesFrames = true;
  port.arrive(capture("udhcpc-discover"));
  port.wake(100);
  port.refusesFrames = false;
  port.arrive(capture("udhcpc-discover"));
  assert.deepEqual(server.counters()[BRIDGE], {
    received: 5,
    sent: 1,
    unclaimed: 2,
    sendErrors: 1,
    socketErrors: 1,
    refusals: { truncated: 1 },
  });
});

test("notes on the configuration are logged when serving begins", () => {
  const { log } = served([{ ...DHCP4, config: dhcp4Config({ searchDomains: ["1.2.3.4"] }) }]);
  assert.deepEqual(log, [`${BRIDGE}: search domain "1.2.3.4" is not a domain name and is not served`]);
});

test("router advertisements are sent by time, also the one that a solicitation brought forward", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const service: GuestService = { type: "router-advert", link: BRIDGE, config: routerAdvertConfig() };
  const { port, clock, server } = served([service]);
  const pass = (ms: number) => {
    clock.ms += ms;
    t.mock.timers.tick(ms);
  };
  assert.equal(port.sent.length, 1, "at once");
  pass(1000);
  // From the unspecified address, too soon after the last one.
  const soon = capture("kernel-router-solicit");
  const unspecified = soon.subarray(0, 62);
  unspecified.fill(0, 22, 38);
  unspecified.set([0, 8], 18);
  unspecified.set([0x7b, 0xb8], 56);
  port.arrive(unspecified);
  assert.deepEqual(server.counters()[BRIDGE]?.refusals, { "no-answer-due": 1 });
  pass(1999);
  assert.equal(port.sent.length, 1);
  pass(1);
  assert.equal(port.sent.length, 2, "three seconds after the last one");
  pass(16_000);
  assert.equal(port.sent.length, 3);
  server.close();
  pass(600_000);
  assert.equal(port.sent.length, 3, "nothing after close");
});

test("serving again replaces what was served", () => {
  const { port, server, leases } = served();
  server.serve([], () => undefined);
  assert.deepEqual(server.counters(), {});
  assert.equal(port.calls.at(-1), "stop 3");
  assert.deepEqual(leases, []);
});

test("a link more than there are sockets is an error before anything is served", () => {
  const port = new MemoryPort();
  const server = guestServices({ port, descriptors: [], clock: { now: () => 0 }, log: () => undefined });
  assert.throws(() => server.serve([DHCP4], () => undefined), { code: "PT-GUEST-1" });
  assert.deepEqual(port.calls, []);
});
