import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { GuestState } from "../../cluster/local/pods/machine.ts";
import type { LinkEvent } from "../../linux/link-watch.ts";
import type { Plan } from "../../plan/plan.ts";
import { lostLinks, noteGuestLinks, withGuestLinks } from "./guest-links.ts";
import type { NodeNet } from "./net.ts";

const RUNNING: GuestState = { phase: "running", agent: { connected: false, interfaces: [] }, leases: [] };
const NEVER = new AbortController().signal;
const LOST = [{ nic: "lan", link: "tap1" }];

test("a link that is gone is told at once and with every later state; a new one of its name is another", async (t) => {
  const it = await place(t);
  const states = withGuestLinks(it.states, it.net, it.place, NEVER);
  assert.deepEqual((await states.next()).value, RUNNING);
  const told = states.next();
  await it.watching;
  it.indexes = [5, 9];
  it.say({ type: "deleted", link: { index: 7, name: "tap1", type: "tun", mtu: 1500, up: true } });
  assert.deepEqual((await told).value, { ...RUNNING, lostLinks: LOST });
  it.push({ ...RUNNING, phase: "paused" });
  assert.deepEqual((await states.next()).value, { ...RUNNING, phase: "paused", lostLinks: LOST });
  it.push(undefined);
  assert.equal((await states.next()).done, true);
  assert.equal(it.watched, false);
});

test("a later daemon finds from the note what was lost meanwhile", async (t) => {
  const it = await place(t);
  assert.deepEqual(await lostLinks(it.net, it.place), []);
  it.indexes = [5];
  assert.deepEqual(await lostLinks(it.net, it.place), LOST);
  const states = withGuestLinks(it.states, it.net, it.place, NEVER);
  assert.deepEqual((await states.next()).value, { ...RUNNING, lostLinks: LOST });
  await states.return(undefined);
  assert.equal(it.watched, false);
});

test("a pod without a note has lost nothing", async (t) => {
  const { net, place: there } = await place(t);
  assert.deepEqual(await lostLinks(net, { ...there, state: join(there.state, "nowhere") }), []);
});

/** A pod with a tap 7 of NIC `lan`, and one whose network is a program; and who watches it. */
async function place(t: TestContext) {
  const state = mkdtempSync(join(tmpdir(), "pt-guest-links-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const pending: ((state: GuestState | undefined) => void)[] = [];
  let watchBegun = (): void => undefined;
  const it = {
    place: { netns: "/run/netns/none", state },
    indexes: [5, 7] as readonly number[],
    watched: false,
    watching: new Promise<void>((resolve) => {
      watchBegun = resolve;
    }),
    say: (_: LinkEvent): void => undefined,
    push: (next: GuestState | undefined): void => pending.shift()?.(next),
    states: async function* (signal: AbortSignal): AsyncGenerator<GuestState> {
      signal.addEventListener("abort", () => it.push(undefined));
      let next: GuestState | undefined = RUNNING;
      while (next !== undefined) {
        yield next;
        next = await new Promise((resolve) => pending.push(resolve));
      }
    },
    net: {
      ifIndexOf: async () => 7,
      call: async () => it.indexes,
      watchLinks: async (_: string, onEvent: (event: LinkEvent) => void) => {
        it.say = onEvent;
        it.watched = true;
        watchBegun();
        return () => {
          it.watched = false;
        };
      },
    } as unknown as NodeNet,
  };
  const nics = [
    { name: "lan", guestLink: "tap1", links: [{ type: "tap", name: "tap1" }] },
    { name: "default", guestLink: "eth0", links: [] },
  ];
  await noteGuestLinks(it.net, it.place, { nics } as unknown as Plan);
  return it;
}
