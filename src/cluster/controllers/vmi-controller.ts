/**
 * VirtualMachineInstance → Pod: asks for the pod, carries the VMI to `Scheduled` with it, and keeps a VMI that is
 * being deleted until its pod is gone (KubeVirt `pkg/virt-controller/watch/vmi`). From `Scheduled` on the node
 * owns the VMI's status.
 */
import type { Pod, Vmi, VmiPhase, VmiStatus } from "../../api/types.ts";
import { setCondition } from "../../report/conditions.ts";
import { isFinal } from "../../report/vm-status.ts";
import { PODS, VMIS } from "../port.ts";
import {
  type ControllerEnvironment,
  type ControllerOptions,
  keyOf,
  ownerKeys,
  splitKey,
} from "./controller.ts";
import { launcherPod } from "./launcher-pod.ts";
import type { Requeue } from "./work-queue.ts";

/** KubeVirt's finalizer of a VMI. */
export const VMI_FINALIZER = "foregroundDeleteVirtualMachine";

export interface VmiControllerOptions {
  /** MiB that the pod may use: guest memory and overhead. */
  memoryOf(vmi: Vmi): number;
}

export function vmiController(
  environment: ControllerEnvironment,
  options: VmiControllerOptions,
): ControllerOptions {
  const { cluster } = environment;

  const reconcile = async (key: string): Promise<Requeue> => {
    const { namespace, name } = splitKey(key);
    const vmi = await cluster.get<Vmi>({ resource: VMIS, namespace, name });
    if (vmi === undefined) return undefined;
    const pods = await cluster.list<Pod>(PODS, {
      namespace,
      labelSelector: `kubevirt.io/created-by=${vmi.metadata.uid}`,
    });
    if (vmi.metadata.deletionTimestamp !== undefined || isFinal(vmi)) await end(vmi, pods);
    else if (!vmi.metadata.finalizers?.includes(VMI_FINALIZER)) {
      const finalizers = [...(vmi.metadata.finalizers ?? []), VMI_FINALIZER];
      await cluster.update(VMIS, { ...vmi, metadata: { ...vmi.metadata, finalizers } });
    } else if (pods.length === 0) await schedule(vmi);
    else await follow(vmi, pods[0] as Pod);
    return undefined;
  };

  const end = async (vmi: Vmi, pods: readonly Pod[]): Promise<void> => {
    for (const pod of pods) {
      if (pod.metadata.deletionTimestamp !== undefined) continue;
      await cluster.delete({
        resource: PODS,
        namespace: pod.metadata.namespace ?? "",
        name: pod.metadata.name,
      });
    }
    if (pods.length > 0 || vmi.metadata.deletionTimestamp === undefined) return;
    const finalizers = (vmi.metadata.finalizers ?? []).filter((finalizer) => finalizer !== VMI_FINALIZER);
    if (finalizers.length === vmi.metadata.finalizers?.length) return;
    await cluster.update(VMIS, { ...vmi, metadata: { ...vmi.metadata, finalizers } });
  };

  const schedule = async (vmi: Vmi): Promise<void> => {
    // A VMI past scheduling whose pod is gone has lost its guest.
    if (vmi.status?.phase === "Running" || vmi.status?.phase === "Scheduled") {
      await setPhase(vmi, "Failed", { reason: "PodNotExists", message: "the launcher pod is gone" });
      return;
    }
    await cluster.create(PODS, launcherPod(vmi, options.memoryOf(vmi)));
    await setPhase(vmi, "Scheduling", { reason: "GuestNotRunning", message: "the pod is being made" });
  };

  const follow = async (vmi: Vmi, pod: Pod): Promise<void> => {
    const failed = pod.status?.phase === "Failed";
    if (failed || pod.status?.phase === "Succeeded") {
      const message = pod.status?.message ?? "the launcher pod ended";
      await setPhase(vmi, failed ? "Failed" : "Succeeded", { reason: "PodTerminating", message });
    } else if (pod.status?.phase === "Running" && isBeforeScheduled(vmi)) {
      await setPhase(vmi, "Scheduled", { reason: "GuestNotRunning", message: "the guest is being started" });
    } else if (vmi.status?.phase === undefined || vmi.status.phase === "Pending") {
      await setPhase(vmi, "Scheduling", { reason: "GuestNotRunning", message: "the pod is being made" });
    }
  };

  const setPhase = async (
    vmi: Vmi,
    phase: VmiPhase,
    why: { readonly reason: string; readonly message: string },
  ): Promise<void> => {
    const status = withPhase(vmi.status ?? {}, phase, environment.now());
    const conditions = setCondition(
      status.conditions ?? [],
      { type: "Ready", status: "False", ...why },
      environment.now(),
    );
    const current = await cluster.get<Vmi>({
      resource: VMIS,
      namespace: vmi.metadata.namespace ?? "",
      name: vmi.metadata.name,
    });
    if (current === undefined || isFinal(current)) return;
    await cluster.updateStatus(VMIS, { ...vmi, status: { ...status, conditions } });
  };

  return {
    name: "vmi",
    watches: [
      { resource: VMIS, keysOf: (object) => [keyOf(object)] },
      { resource: PODS, keysOf: (object) => ownerKeys(object, "VirtualMachineInstance") },
    ],
    reconcile,
  };
}

/** Status with the phase and, where it changed, its time. */
export function withPhase(status: VmiStatus, phase: VmiPhase, now: string): VmiStatus {
  if (status.phase === phase) return status;
  const past = (status.phaseTransitionTimestamps ?? []).filter((entry) => entry.phase !== phase);
  return {
    ...status,
    phase,
    phaseTransitionTimestamps: [...past, { phase, phaseTransitionTimestamp: now }],
  };
}

function isBeforeScheduled(vmi: Vmi): boolean {
  return (
    vmi.status?.phase === undefined || vmi.status.phase === "Pending" || vmi.status.phase === "Scheduling"
  );
}
