/**
 * From a pod object to a running guest. Three strands side by side: the sandbox with its launcher, the network
 * with phase 1, and the disks; phase 2 joins them. Each milestone is an event, which is what `podtap up` shows.
 */
import type { Vmi } from "../../../api/types.ts";
import { messageOf, PodtapError } from "../../../base/errors.ts";
import type { Problem } from "../../../base/problem.ts";
import type { Accelerator } from "../../../domain/devices.ts";
import type { Plan } from "../../../plan/plan.ts";
import type { NetworkStatus } from "../../multus/network-status.ts";
import type { PodIdentity, PodMachine } from "./machine.ts";

export interface StartedPod {
  readonly networks: readonly NetworkStatus[];
  readonly plan: Plan;
  readonly accelerator: Accelerator;
}

/** Says what has been reached; reasons are the events' reasons. */
export type Milestone = (reason: string, message: string) => void;

export interface StartReport {
  readonly milestone: Milestone;
  /** Before phase 1, so that it is known also when that fails. */
  attached(networks: readonly NetworkStatus[]): Promise<void>;
}

export async function startPod(
  machine: PodMachine,
  pod: PodIdentity,
  vmi: Vmi,
  report: StartReport,
  signal: AbortSignal,
): Promise<StartedPod> {
  const { milestone } = report;
  const failed = new AbortController();
  const disks = prepareDisks(machine, pod, vmi, milestone, AbortSignal.any([signal, failed.signal]));
  // A failure here is reported below; until then it must not count as unhandled.
  disks.catch(() => undefined);
  try {
    const { plan, networks } = await startNetwork(machine, pod, vmi, report);
    await disks;
    signal.throwIfAborted();
    const accelerator = await machine.startGuest(pod, vmi, signal);
    const name = accelerator.type === "kvm" ? "KVM" : "TCG";
    milestone("Started", `guest started under ${name}: ${accelerator.reason}`);
    return { networks, plan, accelerator };
  } catch (thrown) {
    // Nothing of this start is under way any more when the caller takes it down.
    failed.abort();
    await disks.catch(() => undefined);
    throw thrown;
  }
}

async function prepareDisks(
  machine: PodMachine,
  pod: PodIdentity,
  vmi: Vmi,
  milestone: Milestone,
  signal: AbortSignal,
): Promise<void> {
  await machine.prepareDisks(pod, vmi, (message) => milestone("Pulling", message), signal);
  if (hasImages(vmi)) milestone("ImageReady", "disks and images are ready");
}

/** Sandbox with its launcher, CNI, phase 1. */
async function startNetwork(
  machine: PodMachine,
  pod: PodIdentity,
  vmi: Vmi,
  { milestone, attached }: StartReport,
): Promise<Pick<StartedPod, "plan" | "networks">> {
  await machine.startSandbox(pod, vmi);
  milestone("SandboxCreated", `sandbox ${pod.name}`);
  const made = await machine.attachNetworks(pod, vmi);
  const networks = made.map(({ status }) => status);
  await attached(networks);
  milestone("NetworkAttached", networks.map(attachedText).join("; "));
  for (const { status, notes } of made) {
    for (const note of notes) milestone("NetworkAdapted", `${status.name}: ${note}`);
  }
  const wired = await machine.wire(pod, vmi);
  if (!wired.ok) throw planFailure(wired.problems);
  const { plan, changes, milliseconds } = wired.value;
  const bindings = plan.nics.map((nic) => `${nic.name} by ${nic.bindingName}`).join(", ") || "no NIC";
  milestone("Wired", `wired ${bindings}: ${changes} changes in ${milliseconds.toFixed(1)} ms`);
  return { plan, networks };
}

function attachedText({ name, interface: link, ips, default: primary }: NetworkStatus): string {
  const addresses = ips?.join(", ") ?? "no address";
  const which = primary && !name.includes("/") ? "pod network" : `${name} as ${link}`;
  return `${which} attached: ${addresses}`;
}

/** The reason that KubeVirt or Kubernetes would give, for conditions and events. */
export function failureReason(thrown: unknown): string {
  if (thrown instanceof PodtapError && thrown.code.startsWith("PT-IMAGE-")) return "ErrImagePull";
  // The kubelet's, when CNI or Multus fails.
  return isAboutNetworks(thrown) ? "FailedCreatePodSandBox" : "FailedStart";
}

/** A change of NADs may help. */
export function isAboutNetworks(thrown: unknown): boolean {
  return thrown instanceof PodtapError && /^PT-(NAD|CNI)-/.test(thrown.code);
}

/** What failed and what to do, in one line. */
export function failureText(thrown: unknown): string {
  const hint = thrown instanceof PodtapError && thrown.hint !== undefined ? `; ${thrown.hint}` : "";
  const code = thrown instanceof PodtapError ? `${thrown.code}: ` : "";
  return `${code}${messageOf(thrown)}${hint}`;
}

function hasImages(vmi: Vmi): boolean {
  return (
    vmi.spec.domain.firmware?.kernelBoot?.container !== undefined ||
    (vmi.spec.volumes ?? []).some((volume) => volume.containerDisk !== undefined)
  );
}

function planFailure(problems: readonly Problem[]): PodtapError {
  const [first] = problems;
  return new PodtapError({
    code: first?.code ?? "PT-PLAN-6",
    message: problems
      .map(({ field, message }) => (field === "" ? message : `${field}: ${message}`))
      .join("; "),
    ...(first?.hint !== undefined && { hint: first.hint }),
    blame: "manifest",
    retry: "on-change",
  });
}
