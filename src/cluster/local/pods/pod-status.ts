/** Status of pods and VMIs on this node, as values, from what the machine says. Pure. */
import type { Condition } from "../../../api/object.ts";
import type { Pod, PodStatus, Vmi, VmiStatus } from "../../../api/types.ts";
import type { Accelerator } from "../../../domain/devices.ts";
import type { BindingRegistry } from "../../../plan/binding.ts";
import type { Plan } from "../../../plan/plan.ts";
import { dropCondition, setCondition } from "../../../report/conditions.ts";
import { liveMigratable } from "../../../report/live-migratable.ts";
import { withLostLinks } from "../../../report/lost-links.ts";
import { withUserNetworks } from "../../../report/user-networks.ts";
import { vmiInterfaces } from "../../../report/vmi-interfaces.ts";
import { withPhase } from "../../controllers/vmi-controller.ts";
import type { GuestState } from "./machine.ts";

export function podStatus(
  phase: NonNullable<PodStatus["phase"]>,
  ips: readonly string[],
  message?: string,
): PodStatus {
  const ready = phase === "Running" ? "True" : "False";
  return {
    phase,
    ...(ips[0] !== undefined && { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    ...(message !== undefined && { message }),
    conditions: [
      { type: "Ready", status: ready },
      { type: "ContainersReady", status: ready },
    ],
  };
}

/** What becomes of the pod when its guest is in this phase; undefined: it goes on. */
export function endOf(guest: GuestState): "Succeeded" | "Failed" | undefined {
  if (guest.phase === "shutdown") return "Succeeded";
  return guest.phase === "crashed" || guest.phase === "failed" ? "Failed" : undefined;
}

export interface RunningFacts {
  readonly nodeName: string;
  readonly pod: Pod;
  readonly plan: Plan;
  /** Links of the pod's secondary networks, by its network-status. */
  readonly attached: readonly string[];
  readonly accelerator?: Accelerator;
  readonly guest: GuestState;
  readonly registry: BindingRegistry;
  /** RFC 3339 */
  readonly now: string;
}

/** The VMI's status while its guest is up. */
export function runningStatus(vmi: Vmi, facts: RunningFacts): VmiStatus {
  const { guest, now, plan, pod } = facts;
  const status = withPhase(vmi.status ?? {}, "Running", now);
  return {
    ...status,
    nodeName: facts.nodeName,
    runtimeUser: 107,
    migrationTransport: "Unix",
    ...(pod.metadata.uid !== undefined && { activePods: { [pod.metadata.uid]: facts.nodeName } }),
    ...(facts.accelerator && { accelerator: facts.accelerator }),
    ...(guest.agent.osInfo && { guestOSInfo: guest.agent.osInfo }),
    conditions: conditions(vmi, status, facts),
    interfaces: vmiInterfaces(
      plan,
      {
        domainRunning: true,
        agent: guest.agent.interfaces,
        leased: guest.leases.map(({ ip }) => ip),
        attached: facts.attached,
      },
      facts.registry,
    ),
  };
}

function conditions(
  vmi: Vmi,
  status: VmiStatus,
  { guest, now, plan, registry, accelerator }: RunningFacts,
): readonly Condition[] {
  let list = setCondition(
    status.conditions ?? [],
    { type: "Ready", status: guest.phase === "paused" ? "False" : "True" },
    now,
  );
  list = dropCondition(list, "Synchronized");
  list = guest.agent.connected
    ? setCondition(list, { type: "AgentConnected", status: "True" }, now)
    : dropCondition(list, "AgentConnected");
  list =
    guest.phase === "paused"
      ? setCondition(
          list,
          { type: "Paused", status: "True", reason: "PausedByUser", message: "VMI was paused by user" },
          now,
        )
      : dropCondition(list, "Paused");
  if (accelerator?.type === "tcg") {
    list = setCondition(
      list,
      { type: "SoftwareEmulation", status: "True", reason: "Emulated", message: accelerator.reason },
      now,
    );
  }
  list = withUserNetworks(list, guest.networks ?? [], now);
  list = withLostLinks(list, guest.lostLinks ?? [], now);
  return setCondition(list, liveMigratable(vmi, plan, registry), now);
}
