/** Status of a VirtualMachine from what it wants and what its VMI says (KubeVirt `pkg/virt-controller/watch/vm`). */
import type { VirtualMachine, Vmi, VmSpec, VmStatus } from "../api/types.ts";

export type RunStrategy = NonNullable<VmSpec["runStrategy"]>;

/** `spec.running` is the deprecated spelling of Always and Halted. */
export function runStrategyOf(spec: VmSpec): RunStrategy {
  return spec.runStrategy ?? (spec.running ? "Always" : "Halted");
}

export function isFinal(vmi: Vmi): boolean {
  return vmi.status?.phase === "Succeeded" || vmi.status?.phase === "Failed";
}

export function vmStatus(vm: VirtualMachine, vmi: Vmi | undefined): VmStatus {
  const ready =
    vmi?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  return {
    ...(vm.status ?? {}),
    created: vmi !== undefined,
    ready,
    runStrategy: runStrategyOf(vm.spec),
    printableStatus: printableStatus(vm, vmi),
    conditions: vmi?.status?.conditions ?? [notCreated],
  };
}

const notCreated = {
  type: "Ready",
  status: "False",
  reason: "VMINotExists",
  message: "VMI does not exist",
} as const;

function printableStatus(vm: VirtualMachine, vmi: Vmi | undefined): string {
  if (vm.metadata.deletionTimestamp !== undefined) return "Terminating";
  if (vmi === undefined) return runStrategyOf(vm.spec) === "Always" ? "Starting" : "Stopped";
  if (vmi.metadata.deletionTimestamp !== undefined) return "Stopping";
  switch (vmi.status?.phase) {
    case "Running":
      return isPaused(vmi) ? "Paused" : "Running";
    case "Failed":
      return "CrashLoopBackOff";
    case "Succeeded":
      return "Stopped";
    default:
      return failureReason(vmi) ?? "Starting";
  }
}

function isPaused(vmi: Vmi): boolean {
  return vmi.status?.conditions?.some(({ type, status }) => type === "Paused" && status === "True") ?? false;
}

/** Waiting states that KubeVirt shows by name. */
function failureReason(vmi: Vmi): string | undefined {
  const reason = vmi.status?.conditions?.find(({ type }) => type === "Synchronized")?.reason;
  return reason === "ErrImagePull" || reason === "ImagePullBackOff" ? reason : undefined;
}
