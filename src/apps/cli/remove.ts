/** Deletes objects and waits until they, and the pods behind VMs, are gone. Not there is as good as gone. */
import { vmiId } from "../../api/launcher-labels.ts";
import type { KubeObject } from "../../api/object.ts";
import type { Pod } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import { PODS, VMIS } from "../../cluster/port.ts";
import type { ApiClient } from "./client.ts";
import type { Context } from "./context.ts";
import { inApplyOrder, isMachine, resourceFor } from "./objects.ts";
import { Progress } from "./progress.ts";
import { formatElapsed } from "./terminal.ts";

export interface Removal {
  readonly object: KubeObject;
  readonly found: boolean;
}

export interface RemoveOptions {
  readonly timeoutMs: number;
}

export async function removeObjects(
  context: Context,
  client: ApiClient,
  objects: readonly KubeObject[],
  { timeoutMs }: RemoveOptions,
): Promise<readonly Removal[]> {
  const progress = new Progress(context.terminal, context.now);
  const removals: Removal[] = [];
  try {
    // Backwards: what refers to others goes first.
    for (const object of inApplyOrder(objects).toReversed()) {
      removals.push({ object, found: await client.delete(resourceFor(object), placeOf(object)) });
    }
    const gone = objects
      .filter(isMachine)
      .map((object) => waitUntilGone(context, client, object, progress, timeoutMs));
    await Promise.all(gone);
  } finally {
    progress.end();
  }
  return removals;
}

function placeOf({ metadata }: KubeObject): { readonly namespace?: string; readonly name: string } {
  const { namespace, name } = metadata;
  return namespace === undefined ? { name } : { namespace, name };
}

const FIRST_POLL_MS = 20;
const LAST_POLL_MS = 50;

async function waitUntilGone(
  context: Context,
  client: ApiClient,
  object: KubeObject,
  progress: Progress,
  timeoutMs: number,
): Promise<void> {
  const { namespace = "default", name } = object.metadata;
  const began = context.now();
  let pause = FIRST_POLL_MS;
  for (;;) {
    const left = await whatIsLeft(client, object, namespace, name);
    if (left === undefined) break;
    progress.busy(name, left);
    if (context.now() - began > timeoutMs) throw stillThere(name, left, timeoutMs);
    await new Promise((resolve) => setTimeout(resolve, pause));
    context.signal.throwIfAborted();
    pause = Math.min(LAST_POLL_MS, pause * 1.5);
  }
  progress.busy(name, undefined);
}

async function whatIsLeft(
  client: ApiClient,
  object: KubeObject,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const vmi = await client.find(VMIS, { namespace, name });
  if (vmi !== undefined) return "is shutting down";
  const pods = await client.list<Pod>(PODS, {
    namespace,
    labelSelector: `vmi.kubevirt.io/id=${vmiId(name)}`,
  });
  if (pods.items.length > 0) return `pod ${pods.items[0]?.metadata.name} is being removed`;
  return (await client.find(resourceFor(object), placeOf(object))) === undefined
    ? undefined
    : "is being removed";
}

function stillThere(name: string, left: string, timeoutMs: number): PodtapError {
  return new PodtapError({
    code: "PT-CLI-4",
    message: `${name} ${left} and is not gone after ${formatElapsed(timeoutMs)}`,
    hint: `what it waits for: podtap describe vmi ${name}; a guest that ignores the power button is cut off after terminationGracePeriodSeconds`,
  });
}
