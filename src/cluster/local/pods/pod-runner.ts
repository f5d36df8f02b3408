/**
 * The node's part of a pod's life: starts what is wanted, adopts what an earlier daemon left running, reports, and
 * takes down what is deleted. A start runs beside the reconciling, so that a deletion can break it off.
 */
import type { Pod, Vmi } from "../../../api/types.ts";
import { PodtapError } from "../../../base/errors.ts";
import type { Accelerator } from "../../../domain/devices.ts";
import type { BindingRegistry } from "../../../plan/binding.ts";
import type { Plan } from "../../../plan/plan.ts";
import { setCondition } from "../../../report/conditions.ts";
import {
  type ControllerEnvironment,
  type ControllerOptions,
  keyOf,
  splitKey,
} from "../../controllers/controller.ts";
import type { Requeue } from "../../controllers/work-queue.ts";
import { PODS, VMIS } from "../../port.ts";
import type { GuestState, PodIdentity, PodMachine } from "./machine.ts";
import { endOf, podStatus, runningStatus } from "./pod-status.ts";
import { failureReason, failureText, startPod } from "./start-pod.ts";

export const POD_FINALIZER = "podtap.io/sandbox";

export interface PodRunnerOptions {
  readonly machine: PodMachine;
  readonly registry: BindingRegistry;
  readonly nodeName: string;
  /** The VMI with KubeVirt's defaults filled in. */
  effective(vmi: Vmi): Vmi;
}

/** A pod this process looks after. */
interface Tended {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

export function podRunner(environment: ControllerEnvironment, options: PodRunnerOptions): ControllerOptions {
  const { cluster } = environment;
  const { machine, registry, nodeName } = options;
  const tended = new Map<string, Tended>();

  const reconcile = async (key: string): Promise<Requeue> => {
    const pod = await cluster.get<Pod>({ resource: PODS, ...splitKey(key) });
    if (pod === undefined) return undefined;
    if (pod.metadata.deletionTimestamp !== undefined) await end(key, pod);
    else if (!tended.has(key) && pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed")
      tend(key, pod);
    return undefined;
  };

  const tend = (key: string, pod: Pod): void => {
    const abort = new AbortController();
    const ended = live(key, pod, abort.signal).catch((thrown) => {
      if (!abort.signal.aborted) environment.warn("pod", key, thrown);
    });
    tended.set(key, { abort, ended });
  };

  /** From start or adoption to the guest's end. */
  const live = async (key: string, pod: Pod, signal: AbortSignal): Promise<void> => {
    const identity = identityOf(pod);
    const vmi = await ownerOf(pod);
    if (vmi === undefined) return;
    const effective = options.effective(vmi);
    const adopted = pod.status?.phase === "Running" && (await machine.adopt(identity));
    try {
      const { plan, accelerator } = adopted
        ? { plan: storedPlan(identity), accelerator: vmi.status?.accelerator }
        : await start(identity, effective, signal);
      const ips = plan.nics.flatMap((nic) => nic.addresses.pod);
      await setPodStatus(pod, podStatus("Running", ips));
      await follow(pod, identity, plan, accelerator, signal);
    } catch (thrown) {
      if (signal.aborted) return;
      await reportFailure(pod, vmi, thrown);
      if (thrown instanceof PodtapError && thrown.retry !== "never") {
        // The pod stays Pending with the reason on show; the next try begins from nothing.
        await machine.dismantle(identity);
        const cancel = environment.timers.after(RETRY_MS, () => {
          tended.delete(key);
          if (!signal.aborted) void reconcile(key);
        });
        signal.addEventListener("abort", cancel, { once: true });
        return;
      }
      await setPodStatus(pod, podStatus("Failed", [], failureText(thrown)));
    }
  };

  const start = async (
    identity: PodIdentity,
    vmi: Vmi,
    signal: AbortSignal,
  ): Promise<{ readonly plan: Plan; readonly accelerator: Accelerator }> => {
    // What a killed start left behind is not worth sorting out: it costs milliseconds to make anew.
    await machine.dismantle(identity);
    const milestone = (reason: string, message: string): void => {
      void cluster.recordEvent({ about: vmi, type: "Normal", reason, message }).catch(() => undefined);
    };
    return await startPod(machine, identity, vmi, milestone, signal);
  };

  const follow = async (
    pod: Pod,
    identity: PodIdentity,
    plan: Plan,
    accelerator: Accelerator | undefined,
    signal: AbortSignal,
  ): Promise<void> => {
    let agentSeen = false;
    let last: GuestState | undefined;
    for await (const guest of machine.watchGuest(identity, signal)) {
      last = guest;
      const end = endOf(guest);
      if (end !== undefined) {
        await setPodStatus(pod, podStatus(end, [], guest.reason ?? `the guest is ${guest.phase}`));
        return;
      }
      if (guest.phase === "running" || guest.phase === "paused") {
        const vmi = await reportRunning(pod, plan, accelerator, guest);
        if (guest.agent.connected && !agentSeen && vmi !== undefined) {
          agentSeen = true;
          await cluster.recordEvent({
            about: vmi,
            type: "Normal",
            reason: "AgentConnected",
            message: "the guest agent answers",
          });
        }
      }
    }
    if (signal.aborted) return;
    const lost = `the launcher ended while the guest was ${last?.phase ?? "unknown"}`;
    await setPodStatus(pod, podStatus("Failed", [], last?.reason ?? lost));
  };

  const end = async (key: string, pod: Pod): Promise<void> => {
    const identity = identityOf(pod);
    const current = tended.get(key);
    const running = pod.status?.phase === "Running";
    if (running)
      await machine.stopGuest(identity, graceOf(pod)).catch((thrown) => environment.warn("pod", key, thrown));
    current?.abort.abort();
    await current?.ended;
    tended.delete(key);
    await machine.dismantle(identity);
    await updatePod(pod, (fresh) => {
      const finalizers = (fresh.metadata.finalizers ?? []).filter((finalizer) => finalizer !== POD_FINALIZER);
      return cluster.update(PODS, { ...fresh, metadata: { ...fresh.metadata, finalizers } });
    });
  };

  const reportRunning = async (
    pod: Pod,
    plan: Plan,
    accelerator: Accelerator | undefined,
    guest: GuestState,
  ): Promise<Vmi | undefined> => {
    return await updateVmi(pod, (vmi) => {
      const facts = {
        nodeName,
        pod,
        plan,
        guest,
        registry,
        now: environment.now(),
        ...(accelerator && { accelerator }),
      };
      return { ...vmi, status: runningStatus(vmi, facts) };
    });
  };

  const reportFailure = async (pod: Pod, vmi: Vmi, thrown: unknown): Promise<void> => {
    const reason = failureReason(thrown);
    const message = failureText(thrown);
    await cluster.recordEvent({ about: vmi, type: "Warning", reason, message });
    await updateVmi(pod, (fresh) => {
      const condition = { type: "Synchronized", status: "False" as const, reason, message };
      const conditions = setCondition(fresh.status?.conditions ?? [], condition, environment.now());
      return { ...fresh, status: { ...fresh.status, conditions } };
    });
  };

  const storedPlan = (identity: PodIdentity): Plan => {
    const plan = machine.storedPlan(identity);
    if (plan !== undefined) return plan;
    throw new PodtapError({
      code: "PT-NODE-1",
      message: `the stored plan of pod ${identity.name} is gone`,
      blame: "host",
    });
  };

  const ownerOf = async (pod: Pod): Promise<Vmi | undefined> => {
    const owner = pod.metadata.ownerReferences?.find(({ kind }) => kind === "VirtualMachineInstance");
    if (owner === undefined) return undefined;
    const vmi = await cluster.get<Vmi>({
      resource: VMIS,
      namespace: pod.metadata.namespace ?? "",
      name: owner.name,
    });
    return vmi?.metadata.uid === owner.uid ? vmi : undefined;
  };

  const setPodStatus = async (pod: Pod, status: NonNullable<Pod["status"]>): Promise<void> => {
    await updatePod(pod, (fresh) => cluster.updateStatus(PODS, { ...fresh, status }));
  };

  const updatePod = async (pod: Pod, change: (fresh: Pod) => Promise<unknown>): Promise<void> => {
    await onFresh(async () => {
      const fresh = await cluster.get<Pod>({ resource: PODS, ...splitKey(keyOf(pod)) });
      if (fresh?.metadata.uid === pod.metadata.uid && fresh !== undefined) await change(fresh);
    });
  };

  const updateVmi = async (pod: Pod, change: (fresh: Vmi) => Vmi): Promise<Vmi | undefined> => {
    return await onFresh(async () => {
      const fresh = await ownerOf(pod);
      if (fresh === undefined) return undefined;
      const next = change(fresh);
      return JSON.stringify(next.status) === JSON.stringify(fresh.status)
        ? fresh
        : await cluster.updateStatus(VMIS, next);
    });
  };

  return {
    name: "pod",
    watches: [{ resource: PODS, keysOf: (object) => [keyOf(object)] }],
    reconcile,
  };
}

/** Pause before a pod whose start failed for a passing reason is tried again. */
const RETRY_MS = 10_000;

export function identityOf(pod: Pod): PodIdentity {
  const { uid = "", namespace = "", name } = pod.metadata;
  return { id: uid.replaceAll("-", "").slice(0, 12), uid, namespace, name, hostname: hostnameOf(pod) };
}

function hostnameOf(pod: Pod): string {
  const hostname = pod.spec?.["hostname"];
  return typeof hostname === "string" ? hostname : pod.metadata.name;
}

function graceOf(pod: Pod): number {
  const seconds = pod.spec?.["terminationGracePeriodSeconds"];
  // The pod's grace is the VM's and 30 s for what runs beside it (KubeVirt adds the same).
  return typeof seconds === "number" ? Math.max(0, seconds - 30) : 30;
}

/** Reads and writes again when somebody else was faster. */
async function onFresh<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (thrown) {
      const conflict = thrown instanceof PodtapError && thrown.code === "PT-API-409";
      if (!conflict || tries >= 5) throw thrown;
    }
  }
}
