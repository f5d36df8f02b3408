/**
 * What running a pod needs of the machine, in the order of its life. The composition root puts this together
 * from the drivers; every verb is idempotent, so that a pod whose start was killed is simply started again.
 */
import type { Vmi } from "../../../api/types.ts";
import type { Result } from "../../../base/result.ts";
import type { Accelerator } from "../../../domain/devices.ts";
import type { Plan } from "../../../plan/plan.ts";
import type { LostLink } from "../../../report/lost-links.ts";
import type { UserNetworkFacts } from "../../../report/user-networks.ts";
import type { AgentNic } from "../../../report/vmi-interfaces.ts";
import type { AttachedNetwork } from "../cni/attach-networks.ts";

export interface PodIdentity {
  /** 12 hex digits of the pod's uid: names directories, the namespace, the cgroup. */
  readonly id: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
}

export interface GuestState {
  readonly phase: "idle" | "starting" | "running" | "paused" | "shutdown" | "crashed" | "failed";
  readonly reason?: string;
  readonly agent: {
    readonly connected: boolean;
    readonly interfaces: readonly AgentNic[];
    readonly osInfo?: Readonly<Record<string, string>>;
  };
  readonly leases: readonly { readonly ip: string }[];
  readonly networks?: readonly UserNetworkFacts[];
  /** Of which QEMU holds nothing but the memory. */
  readonly lostLinks?: readonly LostLink[];
}

export interface WiredPod {
  readonly plan: Plan;
  /** How many changes phase 1 made; 0 when everything was in place. */
  readonly changes: number;
  readonly milliseconds: number;
}

export interface PodMachine {
  /** Namespace, cgroup, mounts and the launcher's process; the network is not there yet. */
  startSandbox(pod: PodIdentity, vmi: Vmi): Promise<void>;
  /** CNI ADD for the pod network and the VMI's NADs, in their order. */
  attachNetworks(pod: PodIdentity, vmi: Vmi): Promise<readonly AttachedNetwork[]>;
  /** Phase 1. */
  wire(pod: PodIdentity, vmi: Vmi): Promise<Result<WiredPod>>;
  /** Images pulled, disks made; what the launcher is told of them is kept for `startGuest`. */
  prepareDisks(
    pod: PodIdentity,
    vmi: Vmi,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Phase 2. Resolves when QEMU runs. */
  startGuest(pod: PodIdentity, vmi: Vmi, signal: AbortSignal): Promise<Accelerator>;
  /** The guest's state now and at every change; ends when the launcher is gone. */
  watchGuest(pod: PodIdentity, signal: AbortSignal): AsyncIterable<GuestState>;
  /** Asks the guest to power off, and switches it off after the grace. */
  stopGuest(pod: PodIdentity, graceSeconds: number, signal: AbortSignal): Promise<void>;
  /** The sandbox of an earlier daemon is alive and its launcher answers, after a new start if need be. */
  adopt(pod: PodIdentity, signal: AbortSignal): Promise<boolean>;
  storedPlan(pod: PodIdentity): Plan | undefined;
  /** Everything of this pod goes: processes, network, cgroup, files. Finds half-made ones too. */
  dismantle(pod: PodIdentity): Promise<void>;
}
