/**
 * Everything that the network worker does, as a table of named jobs. An app adds its own in an entry file of its own:
 * `serveJobs({ ...netJobs, wirePod: … })`.
 *
 * Descriptors in results are the process's, not the thread's: the caller owns them.
 */
import { setTimeout as delay } from "node:timers/promises";
import { openJournal } from "../apply/journal.ts";
import { observe } from "../apply/observe.ts";
import type { Kernel } from "../apply/ports.ts";
import { runSteps } from "../apply/run.ts";
import type { Ip } from "../base/ip.ts";
import type { NftTableId } from "../nft/model.ts";
import type { HostFeatures } from "../plan/host-features.ts";
import type { Observed } from "../plan/observed.ts";
import type { Step } from "../plan/step.ts";
import { hostFeatures } from "./features.ts";
import { openKernel } from "./kernel.ts";
import { openLinkSocket } from "./link-watch.ts";
import { needLink } from "./links.ts";
import { createNetns, deleteNetns, inNetns, listNetns } from "./netns.ts";
import { openPacketSocket } from "./packet-socket.ts";
import { openRtnetlink } from "./rtnetlink.ts";
import { openTcpSocket } from "./tcp-socket.ts";

export interface ApplyRequest {
  /** Path of the namespace. */
  readonly netns: string;
  readonly steps: readonly Step[];
  /** Path of the journal that undo is written to. */
  readonly journal: string;
}

export const netJobs = {
  createNetns: ({ path }: { readonly path: string }): void => createNetns(path),
  deleteNetns: ({ path }: { readonly path: string }): Promise<void> => paced(() => deleteNetns(path)),
  listNetns: ({ folder }: { readonly folder: string }): readonly string[] => listNetns(folder),
  hostFeatures: (_: object): HostFeatures => hostFeatures(),
  observe: ({ netns, sysctls }: { readonly netns: string; readonly sysctls: readonly string[] }): Observed =>
    withKernel(netns, (kernel) => observe(kernel, { sysctls })),
  applySteps: ({ netns, steps, journal }: ApplyRequest): void =>
    withKernel(netns, (kernel) => {
      const sysctls = steps.flatMap((step) => (step.op === "sysctl.set" ? [step.key] : []));
      runSteps(kernel, steps, observe(kernel, { sysctls }), openJournal(journal));
    }),
  readNftCounters: ({ netns, table }: { readonly netns: string; readonly table: NftTableId }) =>
    withKernel(netns, (kernel) => kernel.readNftCounters(table)),
  ifIndexOf: ({ netns, link }: { readonly netns: string; readonly link: string }): number =>
    ifIndexOf(netns, link),
  linkIndexes: ({ netns }: { readonly netns: string }): readonly number[] =>
    withKernel(netns, (kernel) => kernel.readLinks().map(({ index }) => index)),
  openPacketSocket: ({ netns }: { readonly netns: string }): number => openPacketSocket(netns),
  openTcpSocket: ({ netns, ip }: { readonly netns: string; readonly ip: Ip }): number =>
    openTcpSocket(netns, ip),
  openLinkSocket: ({ netns }: { readonly netns: string }): number => openLinkSocket(netns),
} as const;

export type NetJobs = typeof netJobs;

/** Opens the namespace's network for the length of a function. */
export function withKernel<T>(netns: string, run: (kernel: Kernel) => T): T {
  const kernel = openKernel(netns);
  try {
    return kernel.within(() => run(kernel));
  } finally {
    kernel.close();
  }
}

/** The index of a link; ENODEV where there is none of that name. */
export function ifIndexOf(netns: string, link: string): number {
  const rtnetlink = inNetns(netns, openRtnetlink);
  try {
    return needLink(rtnetlink, link, "find the link").index;
  } finally {
    rtnetlink.close();
  }
}

/** Between two deletions the kernel cleans up with the rtnl lock held; in a row they would stall everybody. */
const DELETION_MILLISECONDS = 40;
let lastDeletion: Promise<unknown> = Promise.resolve();

function paced(run: () => void): Promise<void> {
  const done = lastDeletion.then(run);
  const pause = (): Promise<void> => delay(DELETION_MILLISECONDS);
  lastDeletion = done.then(pause, pause);
  return done;
}
