/**
 * A manifest that changed while its VM runs. An instance keeps the shape it was started with, as in KubeVirt; saying
 * "configured" and no more would be believed.
 */
import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../../api/object.ts";
import type { VirtualMachine } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import { VIRTUAL_MACHINES, VMIS } from "../../cluster/port.ts";
import type { ApiClient } from "./client.ts";
import { applyPatch } from "./client-apply.ts";
import { isMachine } from "./objects.ts";

/**
 * What to say about applying this object: undefined when nothing runs or nothing changes for what runs.
 * @throws PT-CLI-5 for an instance of its own, which cannot be changed at all
 */
export async function judgeRunningChange(
  client: ApiClient,
  wanted: KubeObject,
  program: string,
): Promise<string | undefined> {
  if (!isMachine(wanted)) return undefined;
  const { namespace = "default", name } = wanted.metadata;
  const running = await client.find(VMIS, { namespace, name });
  if (running === undefined || running.metadata.deletionTimestamp !== undefined) return undefined;
  const flags = namespace === "default" ? "" : ` -n ${namespace}`;
  if (wanted.kind === "VirtualMachineInstance") {
    const patch = applyPatch(wanted, running) as { readonly spec?: unknown } | undefined;
    if (patch?.spec === undefined) return undefined;
    throw new PodtapError({
      code: "PT-CLI-5",
      message: `vmi/${name} runs with another spec, and an instance cannot be changed`,
      hint: `${program} down${flags} ${name}, then this again`,
      blame: "manifest",
    });
  }
  const live = await client.find<VirtualMachine>(VIRTUAL_MACHINES, { namespace, name });
  const before = live?.spec.template;
  const patch =
    live && (applyPatch(wanted, live) as { readonly spec?: { readonly template?: object } } | undefined);
  if (
    patch?.spec?.template === undefined ||
    isDeepStrictEqual(before, (wanted as VirtualMachine).spec.template)
  ) {
    return undefined;
  }
  return `vm/${name} changed, and its instance runs on as it was; for the new shape: ${program} down${flags} ${name}, then this again`;
}
