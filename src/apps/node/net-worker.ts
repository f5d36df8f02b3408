/** Entry of the node daemon's network worker: the drivers' jobs and phase 1, with the bindings that podtap has. */
import { linkHost, unlinkHost } from "../../apply/host-link.ts";
import {
  gatewaysToWaitFor,
  type Preview,
  podFiles,
  previewPod,
  unwirePod,
  type Wired,
  type WireInput,
  wirePod,
} from "../../apply/wire-pod.ts";
import { messageOf } from "../../base/errors.ts";
import type { Result } from "../../base/result.ts";
import { registry } from "../../bindings/index.ts";
import { deletePodBridge, makePodBridge, type PodBridge } from "../../cluster/local/cni/pod-bridge.ts";
import { serveJobs } from "../../linux/job-server.ts";
import { netJobs, withKernel } from "../../linux/net-jobs.ts";
import { runNft } from "../../linux/nft.ts";
import { nftTables } from "../../linux/nft-tables.ts";
import type { NftTable, NftTableId } from "../../nft/model.ts";
import type { Plan } from "../../plan/plan.ts";
import { warmUp } from "./warm-up.ts";

export interface PodRequest {
  readonly netns: string;
  /** Where plan and journal are kept. */
  readonly stateDir: string;
}

export interface WireRequest extends PodRequest {
  readonly input: WireInput;
}

/** `netns` is the host's. */
export interface HostLinkRequest extends PodRequest {
  readonly plan: Plan;
}

export const nodeJobs = {
  ...netJobs,
  warmUp: (_: object): void => warmUp(registry),
  wirePod: ({ netns, stateDir, input }: WireRequest): Result<Wired> =>
    withKernel(netns, (kernel) => wirePod(kernel, input, podFiles(stateDir), registry)),
  gatewaysToWaitFor: ({ netns, stateDir, input }: WireRequest): number =>
    withKernel(netns, (kernel) => gatewaysToWaitFor(kernel, input, podFiles(stateDir), registry)),
  previewPod: ({ netns, stateDir, input }: WireRequest): Result<Preview> =>
    withKernel(netns, (kernel) => previewPod(kernel, input, podFiles(stateDir), registry)),
  /** What could not be undone, in words. */
  unwirePod: ({ netns, stateDir }: PodRequest): readonly string[] =>
    withKernel(netns, (kernel) => unwirePod(kernel, podFiles(stateDir)).map(messageOf)),
  /** The host's own links beside the guests' of a pod that was just wired. */
  linkHost: ({ netns, stateDir, plan }: HostLinkRequest): void =>
    withKernel(netns, (kernel) => linkHost(kernel, plan, podFiles(stateDir).hostJournal)),
  unlinkHost: ({ netns, stateDir }: PodRequest): readonly string[] =>
    withKernel(netns, (kernel) => unlinkHost(kernel, podFiles(stateDir).hostJournal).map(messageOf)),
  /** In the daemon's own namespace: the host's. */
  replaceHostTables: ({ tables }: { readonly tables: readonly NftTable[] }): void =>
    nftTables.replace(tables),
  /** Everybody's rules in the daemon's own namespace, as JSON text. */
  listHostRules: (_: object): string => runNft("list ruleset", { output: "json" }),
  deleteHostTables: ({ tables }: { readonly tables: readonly NftTableId[] }): void =>
    nftTables.delete(tables),
  /** The pod network's bridge, before a plugin would make one with a tentative IPv6 gateway. */
  makePodBridge: ({ netns, bridge }: { readonly netns: string; readonly bridge: PodBridge }): void =>
    withKernel(netns, (kernel) => makePodBridge(kernel, bridge)),
  deletePodBridge: ({ netns, name }: { readonly netns: string; readonly name: string }): void =>
    withKernel(netns, (kernel) => deletePodBridge(kernel, name)),
} as const;

export type NodeJobs = typeof nodeJobs;

serveJobs(nodeJobs);
