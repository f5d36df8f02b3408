/**
 * What a daemon stands on: everything that differs between one of root's, with pods and their networks, and one of
 * an ordinary user's. Put together in two steps, because the API's admission comes before the cluster.
 */
import type { Socket } from "node:net";
import type { Vmi } from "../../api/types.ts";
import type { Result } from "../../base/result.ts";
import type { ControllerEnvironment, ControllerOptions } from "../../cluster/controllers/controller.ts";
import type { LocalCluster } from "../../cluster/local/local-cluster.ts";
import type { Admission } from "../../cluster/local/objects.ts";
import type { PodIdentity, PodMachine } from "../../cluster/local/pods/machine.ts";
import type { Accelerator } from "../../domain/devices.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { LauncherClient } from "../../vm/launcher-client.ts";
import type { Paths } from "../paths.ts";
import type { NodeConfig } from "./config.ts";
import type { DiskKeeper } from "./disk-keeper.ts";

export interface GroundOptions {
  readonly paths: Paths;
  readonly config: NodeConfig;
  /** Pods of an earlier daemon are there. */
  readonly known: boolean;
}

export interface GroundParts {
  readonly cluster: LocalCluster;
  readonly disks: DiskKeeper;
  accelerator(): Promise<Accelerator>;
  warn(what: string, thrown: unknown): void;
}

export interface FirstGround {
  /** Beside validation. @param taken addresses of all Services there are */
  admission(taken: () => ReadonlySet<string>): readonly Admission[];
  with(parts: GroundParts): Ground;
}

export interface Ground {
  readonly machine: NodeMachine;
  /** For `podtap version` and the log. */
  readonly network: object;
  controllers(environment: ControllerEnvironment): readonly ControllerOptions[];
  /** A connection to a TCP port of the guest; the last failure is thrown when nobody answers. */
  dial(pod: PodIdentity, port: number): Promise<Socket>;
  /** What phase 1 decided, with what it would change. */
  preview(pod: PodIdentity, vmi: Vmi): Promise<Result<object>>;
  counters(pod: PodIdentity): Promise<readonly object[]>;
  /** Ahead of the first VM. */
  warmUp(): Promise<unknown>;
  /** No pod is left: the host is put back. */
  release(): Promise<void>;
  close(): Promise<void>;
}

export interface NodeMachine extends PodMachine {
  dismantle(pod: Pick<PodIdentity, "id">): Promise<void>;
  /** Of this host; found out once. */
  features(): Promise<HostFeatures>;
  /** Pods of which more than their folders is left. */
  attachedPods(): readonly string[];
  launcher(pod: Pick<PodIdentity, "id">): LauncherClient;
}
