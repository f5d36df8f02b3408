/**
 * The same work asked for several times at once is done once. Each caller hears the progress and may give up by its
 * own signal; the work is abandoned when nobody is left who wants it.
 */

export interface Caller<Progress> {
  readonly signal: AbortSignal;
  readonly progress: (report: Progress) => void;
}

interface Shared<Result, Progress> {
  readonly result: Promise<Result>;
  readonly abandon: AbortController;
  readonly callers: Set<Caller<Progress>>;
}

export class SharedWork<Result, Progress> {
  readonly #running = new Map<string, Shared<Result, Progress>>();

  /** @param work gets a signal and a reporter that stand for all callers */
  async run(
    key: string,
    caller: Caller<Progress>,
    work: (all: Caller<Progress>) => Promise<Result>,
  ): Promise<Result> {
    caller.signal.throwIfAborted();
    const shared = this.#running.get(key) ?? this.#start(key, work);
    shared.callers.add(caller);
    const { promise, reject } = Promise.withResolvers<never>();
    const leave = (): void => {
      reject(caller.signal.reason);
      shared.callers.delete(caller);
      if (shared.callers.size === 0) {
        // Whoever asks after this starts anew.
        if (this.#running.get(key) === shared) this.#running.delete(key);
        shared.abandon.abort(caller.signal.reason);
      }
    };
    caller.signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([shared.result, promise]);
    } finally {
      caller.signal.removeEventListener("abort", leave);
      shared.callers.delete(caller);
    }
  }

  #start(key: string, work: (all: Caller<Progress>) => Promise<Result>): Shared<Result, Progress> {
    const abandon = new AbortController();
    const callers = new Set<Caller<Progress>>();
    const progress = (report: Progress): void => {
      for (const one of callers) one.progress(report);
    };
    // After this turn, so that the first caller is in the set when the first progress comes.
    const result = Promise.resolve().then(() => work({ signal: abandon.signal, progress }));
    const shared = { result, abandon, callers };
    this.#running.set(key, shared);
    const forget = (): void => {
      if (this.#running.get(key) === shared) this.#running.delete(key);
    };
    result.then(forget, forget);
    return shared;
  }
}
