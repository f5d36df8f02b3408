/**
 * VirtualMachine → VirtualMachineInstance: makes, ends and remakes the VMI as the run strategy says, and reports
 * on the VM (KubeVirt `pkg/virt-controller/watch/vm`).
 */
import { vmiFromVm } from "../../api/defaults.ts";
import type { VirtualMachine, Vmi } from "../../api/types.ts";
import { isFinal, type RunStrategy, runStrategyOf, vmStatus } from "../../report/vm-status.ts";
import { VIRTUAL_MACHINES, VMIS } from "../port.ts";
import {
  type ControllerEnvironment,
  type ControllerOptions,
  keyOf,
  ownerKeys,
  splitKey,
} from "./controller.ts";
import type { Requeue } from "./work-queue.ts";

/** Pause before a VMI that failed is made anew; doubled up to the longest (KubeVirt: 10 s to 5 min). */
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 300_000;

export function vmController(environment: ControllerEnvironment): ControllerOptions {
  const { cluster } = environment;
  const failures = new Map<string, number>();

  const reconcile = async (key: string): Promise<Requeue> => {
    const { namespace, name } = splitKey(key);
    const vm = await cluster.get<VirtualMachine>({ resource: VIRTUAL_MACHINES, namespace, name });
    if (vm === undefined) {
      failures.delete(key);
      return undefined;
    }
    const vmi = await cluster.get<Vmi>({ resource: VMIS, namespace, name });
    const requeue = vm.metadata.deletionTimestamp === undefined ? await follow(key, vm, vmi) : undefined;
    const seen = await cluster.get<Vmi>({ resource: VMIS, namespace, name });
    const status = vmStatus(vm, seen);
    if (JSON.stringify(status) !== JSON.stringify(vm.status)) {
      await cluster.updateStatus(VIRTUAL_MACHINES, { ...vm, status });
    }
    return requeue;
  };

  const follow = async (key: string, vm: VirtualMachine, vmi: Vmi | undefined): Promise<Requeue> => {
    const strategy = runStrategyOf(vm.spec);
    if (vmi === undefined) {
      if (
        strategy === "Always" ||
        strategy === "RerunOnFailure" ||
        (strategy === "Once" && !vm.status?.created)
      ) {
        await cluster.create(VMIS, vmiFromVm(vm));
      }
      return undefined;
    }
    if (vmi.metadata.deletionTimestamp !== undefined) return undefined;
    if (strategy === "Halted") await cluster.delete(refOf(vmi));
    else if (isFinal(vmi) && restarts(strategy, vmi)) return again(key, vmi);
    else if (vmi.status?.phase === "Running") failures.delete(key);
    return undefined;
  };

  const again = async (key: string, vmi: Vmi): Promise<Requeue> => {
    const count = failures.get(key) ?? 0;
    const pause =
      vmi.status?.phase === "Failed" ? Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** count) : 0;
    const ended = Date.parse(vmi.status?.phaseTransitionTimestamps?.at(-1)?.phaseTransitionTimestamp ?? "");
    const waited = Date.parse(environment.now()) - (Number.isNaN(ended) ? 0 : ended);
    if (waited < pause) return { afterMs: pause - waited };
    failures.set(key, count + 1);
    await cluster.delete(refOf(vmi));
    return undefined;
  };

  return {
    name: "vm",
    watches: [
      { resource: VIRTUAL_MACHINES, keysOf: (object) => [keyOf(object)] },
      { resource: VMIS, keysOf: (object) => ownerKeys(object, "VirtualMachine") },
    ],
    reconcile,
  };
}

function restarts(strategy: RunStrategy, vmi: Vmi): boolean {
  return strategy === "Always" || (strategy === "RerunOnFailure" && vmi.status?.phase === "Failed");
}

function refOf(vmi: Vmi): { resource: typeof VMIS; namespace: string; name: string } {
  return { resource: VMIS, namespace: vmi.metadata.namespace ?? "", name: vmi.metadata.name };
}
