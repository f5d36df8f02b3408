/**
 * The worker's side of a table of jobs. A job is a function of one argument; argument and result are structured
 * clones. Jobs begin in the order they were sent; one that gives a promise does not hold up the next.
 */
import { parentPort } from "node:worker_threads";
import { PodtapError } from "../base/errors.ts";
import { toWireError, type WireError } from "./worker-error.ts";

/** `{ name: (args) => result }`. */
// biome-ignore lint/suspicious/noExplicitAny: the argument of each job is its own affair; JobClient gives it back.
export type Jobs = Readonly<Record<string, (args: any) => unknown>>;

export interface JobRequest {
  readonly id: number;
  readonly op: string;
  readonly args: unknown;
}

export type JobAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: WireError };

/** To be called once, at the end of a worker's entry file. */
export function serveJobs(jobs: Jobs): void {
  const port = parentPort;
  if (port === null) {
    throw new PodtapError({
      code: "PT-WORKER-3",
      message: "this file is a worker's entry; it is started by podtap's node daemon and not by itself",
      blame: "podtap",
    });
  }
  port.on("message", (request: JobRequest) => {
    void answer(jobs, request).then((message) => port.postMessage(message));
  });
}

async function answer(jobs: Jobs, { id, op, args }: JobRequest): Promise<JobAnswer> {
  try {
    return { id, value: await runJob(jobs, op, args) };
  } catch (thrown) {
    return { id, error: toWireError(thrown) };
  }
}

export function runJob(jobs: Jobs, op: string, args: unknown): unknown {
  const job = Object.hasOwn(jobs, op) ? jobs[op] : undefined;
  if (job === undefined) {
    throw new PodtapError({ code: "PT-WORKER-4", message: `the worker has no job ${op}`, blame: "podtap" });
  }
  return job(args);
}
