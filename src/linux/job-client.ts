/**
 * The main thread's side of a table of jobs: typed calls, errors that keep code and hint. The worker is started with
 * the first call and again after it died; it keeps the process alive only while calls are under way.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { messageOf, PodtapError } from "../base/errors.ts";
import { type JobAnswer, type Jobs, runJob } from "./job-server.ts";
import { fromWireError } from "./worker-error.ts";

export interface JobClient<J extends Jobs> {
  call<K extends keyof J & string>(op: K, args: Parameters<J[K]>[0]): Promise<Awaited<ReturnType<J[K]>>>;
  /** Calls under way are rejected. */
  close(): Promise<void>;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: PodtapError): void;
}

/** @param entry a file that ends in serveJobs() */
export function startJobs<J extends Jobs>(entry: URL): JobClient<J> {
  const pending = new Map<number, Pending>();
  let worker: Worker | undefined;
  let lastId = 0;
  let closed = false;

  const settle = (id: number): Pending | undefined => {
    const call = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker?.unref();
    return call;
  };
  const onAnswer = (answer: JobAnswer): void => {
    const call = settle(answer.id);
    if ("error" in answer) call?.reject(fromWireError(answer.error));
    else call?.resolve(answer.value);
  };
  const onGone = (reason: string): void => {
    worker = undefined;
    for (const id of [...pending.keys()]) settle(id)?.reject(gone(reason));
  };
  const running = (): Worker => {
    if (worker !== undefined) return worker;
    const started = new Worker(entry, { trackUnmanagedFds: false });
    started.on("message", onAnswer);
    // Of a worker that was replaced, nothing is to be said.
    started.on("error", (thrown) => worker === started && onGone(messageOf(thrown)));
    started.on("exit", (code) => worker === started && onGone(`it ended with code ${code}`));
    worker = started;
    return started;
  };

  return {
    call: (op, args) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(gone("it was closed"));
        const target = running();
        lastId += 1;
        pending.set(lastId, { resolve: resolve as (value: unknown) => void, reject });
        target.ref();
        target.postMessage({ id: lastId, op, args });
      }),
    close: async () => {
      closed = true;
      const last = worker;
      onGone("it was closed");
      await last?.terminate();
    },
  };
}

/** The same jobs in the calling thread, for tests and one-shot commands. */
export function inlineJobs<J extends Jobs>(jobs: J): JobClient<J> {
  return {
    call: async (op, args) => (await runJob(jobs, op, args)) as never,
    close: () => Promise.resolve(),
  };
}

/**
 * A worker's entry file beside the module that asks: `net-worker.ts` run from source, `net-worker.js` in dist/, where
 * the bundler puts entries and shared chunks in one folder.
 */
export function workerEntry(name: string, importMetaUrl: string): URL {
  const found = [".ts", ".js"]
    .map((extension) => new URL(`./${name}${extension}`, importMetaUrl))
    .find((url) => existsSync(fileURLToPath(url)));
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-WORKER-5",
    message: `no ${name}.js beside ${fileURLToPath(importMetaUrl)}`,
    hint: "the installation is incomplete: run `make build`",
    blame: "podtap",
  });
}

function gone(reason: string): PodtapError {
  return new PodtapError({
    code: "PT-WORKER-1",
    message: `podtap's network worker is gone: ${reason}`,
    hint: "the next call starts a new one",
    retry: "soon",
    blame: "podtap",
  });
}
