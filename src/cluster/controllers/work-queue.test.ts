import assert from "node:assert/strict";
import { test } from "node:test";
import { type Timers, workQueue } from "./work-queue.ts";

/** A clock that a test moves. */
function manualTimers(): Timers & { readonly pending: () => readonly number[]; fire(): void } {
  let waiting: { ms: number; callback: () => void }[] = [];
  return {
    after: (ms, callback) => {
      const entry = { ms, callback };
      waiting.push(entry);
      return () => {
        waiting = waiting.filter((other) => other !== entry);
      };
    },
    pending: () => waiting.map(({ ms }) => ms),
    fire: () => {
      const due = waiting;
      waiting = [];
      for (const { callback } of due) callback();
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("changes during a run cause exactly one more", async () => {
  const runs: string[] = [];
  let release = (): void => undefined;
  const queue = workQueue(
    async (key) => {
      runs.push(key);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return undefined;
    },
    manualTimers(),
    () => assert.fail("no error expected"),
  );
  queue.add("a");
  queue.add("a");
  queue.add("a");
  assert.deepEqual(runs, ["a"]);
  release();
  await settled();
  assert.deepEqual(runs, ["a", "a"]);
  release();
  await settled();
  assert.deepEqual(runs, ["a", "a"]);
});

test("failures are retried with growing pauses, a success forgets them", async () => {
  const timers = manualTimers();
  let fails = 3;
  const errors: unknown[] = [];
  const queue = workQueue(
    async () => {
      if (fails-- > 0) throw new Error("no");
      return undefined;
    },
    timers,
    (_, thrown) => errors.push(thrown),
  );
  const pauses: number[] = [];
  queue.add("a");
  for (let i = 0; i < 3; i++) {
    await settled();
    pauses.push(...timers.pending());
    timers.fire();
  }
  await settled();
  assert.deepEqual(pauses, [250, 500, 1000]);
  assert.equal(errors.length, 3);
  assert.deepEqual(timers.pending(), []);
});

test("after stop nothing runs", async () => {
  const timers = manualTimers();
  let runs = 0;
  const queue = workQueue(
    async () => {
      runs += 1;
      return { afterMs: 5 };
    },
    timers,
    () => undefined,
  );
  queue.add("a");
  await settled();
  await queue.stop();
  assert.deepEqual(timers.pending(), []);
  queue.add("a");
  assert.equal(runs, 1);
});
