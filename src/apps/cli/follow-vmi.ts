/**
 * Follows one VMI until it is up or cannot come up, by its own status and by the Events about it, its VM and its
 * pod. Says what happens while it happens; decides nothing by a clock but the caller's deadline.
 */
import type { Condition, KubeObject } from "../../api/object.ts";
import type { VirtualMachine, Vmi } from "../../api/types.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { EVENTS, type Resource, VIRTUAL_MACHINES, VMIS } from "../../cluster/port.ts";
import type { ApiClient, ClientEvent } from "./client.ts";
import { lastingWatch } from "./lasting-watch.ts";

export type Waited =
  | { readonly outcome: "up"; readonly vmi: Vmi }
  | { readonly outcome: "failed"; readonly reason: string; readonly message: string; readonly vmi?: Vmi }
  | { readonly outcome: "ended"; readonly vmi: Vmi };

export interface FollowOptions {
  readonly namespace: string;
  readonly name: string;
  readonly until: "running" | "agent";
  /** A VMI of the same name that failed before and is on its way out. */
  readonly notUid?: string;
  /** Events older than this are of a former life. RFC 3339, whole seconds as Kubernetes has them. */
  readonly since: string;
  onEvent(event: KubeEvent): void;
  onStatus(text: string): void;
}

/** Statuses of a VM that no waiting changes, or that wait for the user. */
const STUCK: readonly string[] = [
  "ErrorUnschedulable",
  "ErrImagePull",
  "ImagePullBackOff",
  "ErrorPvcNotFound",
  "CrashLoopBackOff",
];

export async function followVmi(
  client: ApiClient,
  options: FollowOptions,
  signal: AbortSignal,
): Promise<Waited> {
  // Of a signal that came before there is no event.
  signal.throwIfAborted();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const seen: Seen = { warnings: [], events: new Set(), held: [] };
  try {
    const waited = await new Promise<Waited>((resolve, reject) => {
      const settle = (waited: Waited | undefined): void => {
        if (waited !== undefined) resolve(waited);
      };
      const { namespace, name } = options;
      const fieldSelector = `metadata.name=${name}`;
      const listen = <T extends KubeObject>(
        resource: Resource,
        select: { readonly fieldSelector?: string },
        take: (event: ClientEvent<T>) => void,
      ): void => {
        const source = lastingWatch<T>(client, resource, { namespace, ...select, signal: either });
        void each(source, take).catch((thrown) => {
          if (!stop.signal.aborted) reject(thrown);
        });
      };
      listen<KubeEvent>(EVENTS, {}, (event) => settle(takeEvent(event, options, seen)));
      listen<Vmi>(VMIS, { fieldSelector }, (event) => settle(takeVmi(event, options, seen)));
      listen<VirtualMachine>(VIRTUAL_MACHINES, { fieldSelector }, (event) =>
        settle(takeVm(event, options, seen)),
      );
      either.addEventListener("abort", () => reject(either.reason), { once: true });
    });
    // What was recorded last may still be on its way here.
    const { items } = await client.list<KubeEvent>(EVENTS, { namespace: options.namespace });
    for (const object of items) takeEvent({ type: "ADDED", object }, options, seen);
    return waited;
  } finally {
    stop.abort();
  }
}

interface Seen {
  vmi?: Vmi;
  readonly warnings: KubeEvent[];
  /** Name and count of those that were told. */
  readonly events: Set<string>;
  /** Came before the VMI they are about, or about a former one of the same name. */
  held: KubeEvent[];
}

async function each<T>(source: AsyncIterable<T>, take: (item: T) => void): Promise<void> {
  for await (const item of source) take(item);
}

function takeEvent(event: ClientEvent<KubeEvent>, options: FollowOptions, seen: Seen): Waited | undefined {
  if (event.type === "BOOKMARK" || event.type === "DELETED") return undefined;
  const { involvedObject, lastTimestamp } = event.object;
  if (!isAbout(involvedObject, options.name)) return undefined;
  if (lastTimestamp !== undefined && lastTimestamp < options.since) return undefined;
  if (involvedObject.kind === "VirtualMachineInstance" && involvedObject.uid !== seen.vmi?.metadata.uid) {
    seen.held.push(event.object);
    return undefined;
  }
  return tell(event.object, options, seen);
}

function tell(event: KubeEvent, options: FollowOptions, seen: Seen): Waited | undefined {
  const key = `${event.metadata.name} ${event.count ?? 1}`;
  if (seen.events.has(key)) return undefined;
  seen.events.add(key);
  options.onEvent(event);
  if (event.type !== "Warning") return undefined;
  seen.warnings.push(event);
  const { reason, message, count = 1 } = event;
  // The node tries again by itself. Once may be an accident; an image does not appear by waiting.
  const hopeless = reason.startsWith("Err") || count > 1 || seen.warnings.length > 1;
  return hopeless ? { outcome: "failed", reason, message, ...(seen.vmi && { vmi: seen.vmi }) } : undefined;
}

/** The VM, its VMI (same name), or its pod, `virt-launcher-<vmi>-<suffix>`. */
function isAbout(object: KubeEvent["involvedObject"], name: string): boolean {
  if (object.kind === "Pod") {
    return (
      object.name.startsWith(`virt-launcher-${name}-`) && !object.name.slice(15 + name.length).includes("-")
    );
  }
  return object.name === name && object.kind.startsWith("VirtualMachine");
}

function takeVmi(event: ClientEvent<Vmi>, options: FollowOptions, seen: Seen): Waited | undefined {
  if (event.type === "BOOKMARK" || event.object.metadata.name !== options.name) return undefined;
  const vmi = event.object;
  if (vmi.metadata.uid !== undefined && vmi.metadata.uid === options.notUid) return undefined;
  seen.vmi = vmi;
  const held = seen.held.filter(({ involvedObject }) => involvedObject.uid === vmi.metadata.uid);
  seen.held = seen.held.filter((other) => !held.includes(other));
  const hopeless = held.map((earlier) => tell(earlier, options, seen)).find((end) => end !== undefined);
  if (hopeless !== undefined) return hopeless;
  if (event.type === "DELETED" || vmi.metadata.deletionTimestamp !== undefined) return undefined;
  const { phase } = vmi.status ?? {};
  options.onStatus(phase ?? "Pending");
  if (phase === "Failed") return { outcome: "failed", ...whyNot(vmi, seen), vmi };
  if (phase === "Succeeded") return { outcome: "ended", vmi };
  if (phase === "Running" && (options.until === "running" || isTrue(vmi, "AgentConnected"))) {
    return { outcome: "up", vmi };
  }
  return undefined;
}

function takeVm(event: ClientEvent<VirtualMachine>, options: FollowOptions, seen: Seen): Waited | undefined {
  if (event.type === "BOOKMARK" || event.type === "DELETED") return undefined;
  const vm = event.object;
  const shown = vm.status?.printableStatus;
  if (vm.metadata.name !== options.name || shown === undefined || !STUCK.includes(shown)) return undefined;
  // The VM still speaks of the former instance.
  if (seen.vmi === undefined && options.notUid !== undefined) return undefined;
  const why = seen.vmi === undefined ? undefined : whyNot(seen.vmi, seen);
  const last = vm.status?.conditions?.find(({ type, status }) => type === "Failure" && status === "True");
  return {
    outcome: "failed",
    reason: why?.reason ?? last?.reason ?? shown,
    message: why?.message ?? last?.message ?? `the VM's status is ${shown}`,
    ...(seen.vmi && { vmi: seen.vmi }),
  };
}

/** The most telling of what was said: a warning event, else a condition that is false, else the phase. */
export function whyNot(
  vmi: Vmi,
  seen: { readonly warnings: readonly KubeEvent[] },
): {
  readonly reason: string;
  readonly message: string;
} {
  const warning = seen.warnings.at(-1);
  if (warning !== undefined) return { reason: warning.reason, message: warning.message };
  const conditions = vmi.status?.conditions ?? [];
  const bad = ["Synchronized", "PodScheduled", "Ready"]
    .map((type) => conditions.find((condition) => condition.type === type && condition.status === "False"))
    .find((condition): condition is Condition => condition?.message !== undefined);
  return {
    reason: bad?.reason ?? vmi.status?.reason ?? "NotReady",
    message: bad?.message ?? `the VM's phase is ${vmi.status?.phase ?? "Pending"}`,
  };
}

function isTrue(vmi: Vmi, type: string): boolean {
  return (
    vmi.status?.conditions?.some((condition) => condition.type === type && condition.status === "True") ??
    false
  );
}
