/**
 * Reconciling by key: one run at a time a key, changes during a run cause one more, failures are retried with
 * growing pauses. Time comes from the caller.
 */

export interface Timers {
  /** Calls back once after the pause; the result cancels. */
  after(ms: number, callback: () => void): () => void;
}

export interface WorkQueue {
  add(key: string): void;
  /** No further runs; resolves when those under way have ended. */
  stop(): Promise<void>;
}

/** What a run says about when it wants to be called again. */
export type Requeue = { readonly afterMs: number } | undefined;

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;

export function workQueue(
  reconcile: (key: string) => Promise<Requeue>,
  timers: Timers,
  onError: (key: string, thrown: unknown) => void,
): WorkQueue {
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const failures = new Map<string, number>();
  const pauses = new Map<string, () => void>();
  let stopped = false;

  const later = (key: string, ms: number): void => {
    pauses.get(key)?.();
    pauses.set(
      key,
      timers.after(ms, () => {
        pauses.delete(key);
        add(key);
      }),
    );
  };

  const run = async (key: string): Promise<void> => {
    try {
      const requeue = await reconcile(key);
      failures.delete(key);
      if (requeue !== undefined) later(key, requeue.afterMs);
    } catch (thrown) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      onError(key, thrown);
      later(key, Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (count - 1)));
    }
    running.delete(key);
    if (again.delete(key)) add(key);
  };

  const add = (key: string): void => {
    if (stopped) return;
    if (running.has(key)) again.add(key);
    else running.set(key, run(key));
  };

  return {
    add,
    stop: async () => {
      stopped = true;
      for (const cancel of pauses.values()) cancel();
      pauses.clear();
      await Promise.allSettled(running.values());
    },
  };
}
