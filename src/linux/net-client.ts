/**
 * Network work from the main thread: each call is one message to the network worker and its answer. Nothing here
 * blocks the event loop.
 */
import { closeSync } from "node:fs";
import type { Ip } from "../base/ip.ts";
import type { Observed } from "../plan/observed.ts";
import { inlineJobs, type JobClient, startJobs, workerEntry } from "./job-client.ts";
import { type LinkEvent, watchLinkSocket } from "./link-watch.ts";
import { type ApplyRequest, type NetJobs, netJobs } from "./net-jobs.ts";
import { connectTcpSocket } from "./tcp-socket.ts";

/** `call` reaches every job of the worker, an app's own among them. Namespaces are paths. */
export interface NetClient<J extends NetJobs = NetJobs> extends JobClient<J> {
  createNetns(path: string): Promise<void>;
  /** Paced: many at once take 40 ms each. */
  deleteNetns(path: string): Promise<void>;
  listNetns(folder: string): Promise<readonly string[]>;
  observe(netns: string, sysctls: readonly string[]): Promise<Observed>;
  applySteps(request: ApplyRequest): Promise<void>;
  ifIndexOf(netns: string, link: string): Promise<number>;
  /** An unbound packet socket; the caller's to close. */
  openPacketSocket(netns: string): Promise<number>;
  /** A connected socket for `new net.Socket({ fd })`. */
  connectTcp(netns: string, ip: Ip, port: number, milliseconds?: number): Promise<number>;
  /** Gives the function that ends watching. */
  watchLinks(netns: string, onEvent: (event: LinkEvent) => void): Promise<() => void>;
}

/** @param entry an app's own worker, which serves netJobs and more; see workerEntry */
export function startNetWorker<J extends NetJobs = NetJobs>(
  entry: URL = workerEntry("net-worker", import.meta.url),
): NetClient<J> {
  return netClient(startJobs<J>(entry));
}

/** The same in the calling thread, for tests. */
export function inlineNetClient(): NetClient {
  return netClient(inlineJobs(netJobs));
}

function netClient<J extends NetJobs>(client: JobClient<J>): NetClient<J> {
  // J has at least these jobs, which TypeScript cannot conclude inside a generic.
  const jobs = client as unknown as JobClient<NetJobs>;
  return {
    ...client,
    createNetns: (path) => jobs.call("createNetns", { path }),
    deleteNetns: (path) => jobs.call("deleteNetns", { path }),
    listNetns: (folder) => jobs.call("listNetns", { folder }),
    observe: (netns, sysctls) => jobs.call("observe", { netns, sysctls }),
    applySteps: (request) => jobs.call("applySteps", request),
    ifIndexOf: (netns, link) => jobs.call("ifIndexOf", { netns, link }),
    openPacketSocket: (netns) => jobs.call("openPacketSocket", { netns }),
    connectTcp: async (netns, ip, port, milliseconds) =>
      connectTcpSocket(await jobs.call("openTcpSocket", { netns, ip }), ip, port, milliseconds),
    watchLinks: async (netns, onEvent) => {
      const fd = await jobs.call("openLinkSocket", { netns });
      const polling = watchLinkSocket(fd, onEvent);
      return () => {
        polling.close();
        closeSync(fd);
      };
    },
  };
}
