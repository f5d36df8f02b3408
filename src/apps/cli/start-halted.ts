/** `up` means running: a VM whose manifest says it is halted is started, and the user is told. */
import type { KubeObject } from "../../api/object.ts";
import type { VirtualMachine } from "../../api/types.ts";

export interface Started {
  readonly object: KubeObject;
  /** What was changed of the manifest, for the user; absent when nothing was. */
  readonly note?: string;
}

export function startHalted(object: KubeObject): Started {
  if (object.kind !== "VirtualMachine") return { object };
  const vm = object as VirtualMachine;
  const { running, ...spec } = vm.spec;
  // KubeVirt starts a `Manual` VM once when asked to; `Once` is that, written down.
  const strategy = spec.runStrategy === "Manual" ? "Once" : "Always";
  const halted = running === false || spec.runStrategy === "Halted" || spec.runStrategy === "Manual";
  if (!halted) return { object };
  const said = running === false ? "running: false" : `runStrategy: ${spec.runStrategy}`;
  return {
    object: { ...vm, spec: { ...spec, runStrategy: strategy } },
    note: `vm/${vm.metadata.name} says ${said}; up starts it (runStrategy: ${strategy}), --no-start leaves it`,
  };
}
