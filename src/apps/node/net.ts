/** The node daemon's network worker, as its main thread sees it. */
import { workerEntry } from "../../linux/job-client.ts";
import { type NetClient, startNetWorker } from "../../linux/net-client.ts";
import type { NodeJobs } from "./net-worker.ts";

export type NodeNet = NetClient<NodeJobs>;

export function startNodeNet(): NodeNet {
  return startNetWorker<NodeJobs>(workerEntry("net-worker", import.meta.url));
}
