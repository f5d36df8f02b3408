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
import { lostLinkEvents } from "../../../report/lost-links.ts";
import { userNetworkEvents } from "../../../report/user-networks.ts";
import { attachedInterfaces } from "../../../report/vmi-interfaces.ts";
import {
  type ControllerEnvironment,
  type ControllerOptions,
  keyOf,
  splitKey,
} from "../../controllers/controller.ts";
import type { Requeue } from "../../controllers/work-queue.ts";
import {
  NETWORK_STATUS_ANNOTATION,
  type NetworkStatus,
  parseNetworkStatus,
  renderNetworkStatus,
} from "../../multus/network-status.ts";
import { type EventRecord, NADS, PODS, VMIS } from "../../port.ts";
import type { GuestState, PodIdentity, PodMachine } from "./machine.ts";
import { endOf, podStatus, runningStatus } from "./pod-status.ts";
import { failureReason, failureText, isAboutNetworks, type StartedPod, startPod } from "./start-pod.ts";

export const POD_FINALIZER = "podtap.io/sandbox";

export interface PodRunnerOptions {
  readonly machine: PodMachine;
  readonly registry: BindingRegistry;
  readonly nodeName: string;
  /** The VMI with KubeVirt's defaults filled in. */
  effective(vmi: Vmi): Vmi;
}

export interface PodRunner extends ControllerOptions {
  /** Lets go of every pod: starts and polite endings are broken off, guests run on. For the daemon's end. */
  letGo(): Promise<void>;
}

/** Whether the pod is to be looked at again after a pause, though nobody changes it. */
type Outcome = "done" | "again" | "when NADs change";

/** A pod this process looks after. */
interface Tended {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

export function podRunner(environment: ControllerEnvironment, options: PodRunnerOptions): PodRunner {
  const { cluster } = environment;
  const { machine, registry, nodeName } = options;
  const tended = new Map<string, Tended>();
  /** Those whose start failed for want of a network, and what tries them again at once. */
  const waiting = new Map<string, () => void>();
  const leaving = new AbortController();

  const reconcile = async (key: string): Promise<Requeue> => {
    const pod = await cluster.get<Pod>({ resource: PODS, ...splitKey(key) });
    if (pod === undefined || leaving.signal.aborted) return undefined;
    if (pod.metadata.deletionTimestamp !== undefined) await end(key, pod);
    else if (!tended.has(key) && pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed")
      tend(key, pod);
    return undefined;
  };

  const tend = (key: string, pod: Pod): void => {
    const abort = new AbortController();
    const ended = live(pod, abort.signal)
      .catch((thrown): Outcome => {
        if (!abort.signal.aborted) environment.warn("pod", key, thrown);
        return "again";
      })
      .then((outcome) => {
        if (outcome !== "done" && !abort.signal.aborted) tendLater(key, outcome, abort.signal);
      });
    tended.set(key, { abort, ended });
  };

  const tendLater = (key: string, why: Outcome, signal: AbortSignal): void => {
    const again = async (): Promise<void> => {
      const pod = await cluster.get<Pod>({ resource: PODS, ...splitKey(key) });
      // From here on nothing is awaited: a deletion that comes now finds the pod tended again, or not at all.
      if (signal.aborted) return;
      tended.delete(key);
      if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) tend(key, pod);
    };
    const stop = (): void => {
      waiting.delete(key);
      cancel();
    };
    const go = (): void => {
      stop();
      void again();
    };
    const cancel = environment.timers.after(RETRY_MS, go);
    if (why === "when NADs change") waiting.set(key, go);
    signal.addEventListener("abort", stop, { once: true });
  };

  /** From start or adoption to the guest's end. A failure that is thrown leaves the guest alone. */
  const live = async (pod: Pod, signal: AbortSignal): Promise<Outcome> => {
    const identity = identityOf(pod);
    const vmi = await ownerOf(pod);
    if (vmi === undefined) return "done";
    if (pod.status?.phase === "Running") return await adopt(pod, vmi, identity, signal);
    let started: StartedPod;
    try {
      started = await start(pod, identity, options.effective(vmi), signal);
    } catch (thrown) {
      return signal.aborted ? "done" : await giveUp(pod, vmi, identity, thrown);
    }
    // The pod is known by its primary network; what a secondary one is for, nobody but its owner knows.
    const primary = started.networks.find((network) => network.default);
    await setPodStatus(pod, podStatus("Running", primary?.ips ?? []));
    await follow(pod, identity, started.plan, started.accelerator, signal);
    return "done";
  };

  /** What an earlier daemon left running. A guest that was lost meanwhile is not started again behind its owner's back. */
  const adopt = async (pod: Pod, vmi: Vmi, identity: PodIdentity, signal: AbortSignal): Promise<Outcome> => {
    if (await machine.adopt(identity, signal)) {
      await follow(pod, identity, storedPlan(identity), vmi.status?.accelerator, signal);
    } else if (!signal.aborted) {
      const lost = "the guest was lost while no daemon looked after it";
      await setPodStatus(pod, podStatus("Failed", [], lost));
    }
    return "done";
  };

  const start = async (
    pod: Pod,
    identity: PodIdentity,
    vmi: Vmi,
    signal: AbortSignal,
  ): Promise<StartedPod> => {
    // What a killed start left behind is not worth sorting out: it costs milliseconds to make anew.
    await machine.dismantle(identity);
    const milestone = (reason: string, message: string): void => {
      void cluster.recordEvent({ about: vmi, type: "Normal", reason, message }).catch(() => undefined);
    };
    const attached = (networks: readonly NetworkStatus[]) => reportAttached(pod, networks);
    return await startPod(machine, identity, vmi, { milestone, attached }, signal);
  };

  const giveUp = async (pod: Pod, vmi: Vmi, identity: PodIdentity, thrown: unknown): Promise<Outcome> => {
    await reportFailure(pod, vmi, thrown);
    if (thrown instanceof PodtapError && thrown.retry !== "never") {
      // The pod stays Pending with the reason on show; the next try begins from nothing.
      await machine.dismantle(identity);
      return isAboutNetworks(thrown) ? "when NADs change" : "again";
    }
    await setPodStatus(pod, podStatus("Failed", [], failureText(thrown)));
    return "done";
  };

  const follow = async (
    pod: Pod,
    identity: PodIdentity,
    plan: Plan,
    accelerator: Accelerator | undefined,
    signal: AbortSignal,
  ): Promise<void> => {
    const attached = await attachedLinks(pod);
    let agentSeen = false;
    let last: GuestState | undefined;
    for await (const guest of machine.watchGuest(identity, signal)) {
      const happened = happenings(last, guest);
      last = guest;
      const end = endOf(guest);
      if (end !== undefined) {
        await setPodStatus(pod, podStatus(end, [], guest.reason ?? `the guest is ${guest.phase}`));
        return;
      }
      if (guest.phase === "running" || guest.phase === "paused") {
        const vmi = await reportRunning(pod, plan, attached, accelerator, guest);
        await tell(vmi, agentSeen || !guest.agent.connected ? happened : [...happened, AGENT_CONNECTED]);
        agentSeen ||= guest.agent.connected;
      }
    }
    if (signal.aborted) return;
    const lost = `the launcher ended while the guest was ${last?.phase ?? "unknown"}`;
    await setPodStatus(pod, podStatus("Failed", [], last?.reason ?? lost));
  };

  const tell = async (vmi: Vmi | undefined, events: readonly Omit<EventRecord, "about">[]): Promise<void> => {
    if (vmi === undefined) return;
    for (const event of events) await cluster.recordEvent({ about: vmi, ...event });
  };

  const end = async (key: string, pod: Pod): Promise<void> => {
    const identity = identityOf(pod);
    if (pod.status?.phase === "Running") {
      await machine.stopGuest(identity, graceOf(pod), leaving.signal).catch((thrown) => {
        if (!leaving.signal.aborted) environment.warn("pod", key, thrown);
      });
      // The next daemon asks the guest again.
      if (leaving.signal.aborted) return;
    }
    const current = tended.get(key);
    current?.abort.abort();
    await current?.ended;
    tended.delete(key);
    await machine.dismantle(identity);
    await updatePod(pod, (fresh) => {
      const finalizers = (fresh.metadata.finalizers ?? []).filter((finalizer) => finalizer !== POD_FINALIZER);
      return cluster.update(PODS, { ...fresh, metadata: { ...fresh.metadata, finalizers } });
    });
  };

  /** On the pod as Multus does, and on the VMI as virt-controller does. */
  const reportAttached = async (pod: Pod, networks: readonly NetworkStatus[]): Promise<void> => {
    await updatePod(pod, (fresh) => {
      const status = { [NETWORK_STATUS_ANNOTATION]: renderNetworkStatus(networks) };
      const metadata = { ...fresh.metadata, annotations: { ...fresh.metadata.annotations, ...status } };
      return cluster.update(PODS, { ...fresh, metadata });
    });
    const links = networks.flatMap((network) => (network.default ? [] : [network.interface]));
    if (links.length === 0) return;
    await updateVmi(pod, (vmi) => ({
      ...vmi,
      status: { ...vmi.status, interfaces: attachedInterfaces(vmi.spec.networks ?? [], links) },
    }));
  };

  const reportRunning = async (
    pod: Pod,
    plan: Plan,
    attached: readonly string[],
    accelerator: Accelerator | undefined,
    guest: GuestState,
  ): Promise<Vmi | undefined> => {
    return await updateVmi(pod, (vmi) => {
      const facts = {
        nodeName,
        pod,
        plan,
        attached,
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

  const attachedLinks = async (pod: Pod): Promise<readonly string[]> => {
    const fresh = await cluster.get<Pod>({ resource: PODS, ...splitKey(keyOf(pod)) });
    const status = fresh?.metadata.annotations?.[NETWORK_STATUS_ANNOTATION];
    return parseNetworkStatus(status).flatMap((network) => (network.default ? [] : [network.interface]));
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
    watches: [
      { resource: PODS, keysOf: (object) => [keyOf(object)] },
      {
        resource: NADS,
        keysOf: () => {
          for (const go of [...waiting.values()]) go();
          return [];
        },
      },
    ],
    reconcile,
    letGo: async () => {
      leaving.abort();
      for (const { abort } of tended.values()) abort.abort();
      await Promise.all([...tended.values()].map(({ ended }) => ended));
    },
  };
}

const AGENT_CONNECTED = {
  type: "Normal",
  reason: "AgentConnected",
  message: "the guest agent answers",
} as const;

/** Pause before a pod whose start failed for a passing reason, or that could not be watched, is tried again. */
const RETRY_MS = 10_000;

export function identityOf(pod: Pod): PodIdentity {
  const { uid = "", namespace = "", name } = pod.metadata;
  return { id: uid.replaceAll("-", "").slice(0, 12), uid, namespace, name, hostname: hostnameOf(pod) };
}

function happenings(last: GuestState | undefined, now: GuestState): readonly Omit<EventRecord, "about">[] {
  return [
    ...userNetworkEvents(last?.networks, now.networks),
    // Of what the first look finds an earlier daemon told.
    ...(last === undefined ? [] : lostLinkEvents(last.lostLinks, now.lostLinks)),
  ];
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
