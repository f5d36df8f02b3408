/**
 * `status.interfaces` of a VMI from the stored plan, the domain and the guest agent, kept apart and labelled
 * (KubeVirt `pkg/network/setup/netstat.go`). Within a family the pod's address wins, and it stays when the agent
 * has nothing to say: a booting guest does not make it flap (datapath Q15).
 */
import type { LabelledAddress, NetworkSpec, VmiInterfaceStatus } from "../api/types.ts";
import { type Ip, parseIp } from "../base/ip.ts";
import { parseMac } from "../base/mac.ts";
import { PRIMARY_POD_INTERFACE, secondaryPodInterface } from "../base/names.ts";
import type { BindingRegistry, NicEvidence } from "../plan/binding.ts";
import type { NicPlan, Plan } from "../plan/plan.ts";

export interface AgentNic {
  readonly name: string;
  readonly mac?: string;
  readonly ips: readonly string[];
}

export interface GuestEvidence {
  /** The domain runs, so what it has is a fact. */
  readonly domainRunning: boolean;
  readonly agent: readonly AgentNic[];
  readonly leased: readonly string[];
  /** Links of the pod that its network-status names, the primary one left out. */
  readonly attached: readonly string[];
}

/** KubeVirt lists at most ten NICs that only the guest knows. */
const GUEST_ONLY_MAX = 10;
const MULTUS_STATUS = "multus-status";

export function vmiInterfaces(
  plan: Plan,
  seen: GuestEvidence,
  registry: BindingRegistry,
): readonly VmiInterfaceStatus[] {
  const byMac = new Map(seen.agent.flatMap((nic) => (nic.mac ? [[parseMac(nic.mac), nic] as const] : [])));
  const nics = [...plan.nics.filter(isPrimaryNic), ...plan.nics.filter((nic) => !isPrimaryNic(nic))];
  const known = nics.map((nic) => ofPlan(nic, byMac.get(nic.mac), seen, registry));
  const planned = new Set<string | undefined>(plan.nics.map((nic) => nic.mac));
  const guestOnly = seen.agent
    .filter((nic) => nic.mac !== undefined && !planned.has(parseMac(nic.mac)) && nic.name !== "lo")
    .slice(0, GUEST_ONLY_MAX)
    .map(ofAgent);
  return [...known, ...guestOnly];
}

/** Before the guest runs: the secondary networks whose link is there (KubeVirt `pkg/network/controllers/vmi.go`). */
export function attachedInterfaces(
  networks: readonly NetworkSpec[],
  attached: readonly string[],
): readonly VmiInterfaceStatus[] {
  return networks.flatMap(({ name, multus }) => {
    const podInterfaceName = secondaryPodInterface(name);
    const secondary = multus !== undefined && multus.default !== true;
    if (!secondary || !attached.includes(podInterfaceName)) return [];
    return [{ name, podInterfaceName, infoSource: MULTUS_STATUS }];
  });
}

/** First in the list: its address is the one that `get` shows. */
function isPrimaryNic({ podInterface }: NicPlan): boolean {
  return podInterface === PRIMARY_POD_INTERFACE;
}

function ofPlan(
  nic: NicPlan,
  agent: AgentNic | undefined,
  seen: GuestEvidence,
  registry: BindingRegistry,
): VmiInterfaceStatus {
  const evidence: NicEvidence = {
    agentAddresses: globalAddresses(agent?.ips ?? []),
    ...(agent && { agentInterface: agent.name }),
    leased: globalAddresses(seen.leased),
  };
  const binding = registry.all.find(({ bindingName }) => bindingName === nic.bindingName);
  const addresses: readonly LabelledAddress[] = binding?.report(nic, evidence) ?? [];
  const ips = preferPod(addresses);
  const sources = [
    ...(seen.domainRunning ? ["domain"] : []),
    ...(agent ? ["guest-agent"] : []),
    ...(seen.attached.includes(nic.podInterface) ? [MULTUS_STATUS] : []),
  ];
  return {
    name: nic.name,
    ...(ips[0] !== undefined && { ipAddress: ips[0], ipAddresses: ips }),
    mac: nic.mac,
    podInterfaceName: nic.podInterface,
    ...(agent && { interfaceName: agent.name }),
    ...(sources.length > 0 && { infoSource: sources.join(", ") }),
    queueCount: nic.domain.driver?.queues ?? 1,
    linkState: nic.domain.linkState ?? "up",
    addresses,
    binding: nic.bindingName,
    ...(nic.hostPorts && { hostPorts: nic.hostPorts }),
  };
}

/** The addresses to use from outside: of each family the pod's, where there is one. */
function preferPod(addresses: readonly LabelledAddress[]): readonly string[] {
  return ([4, 6] as const).flatMap((family) => {
    const ofFamily = addresses.filter(({ ip }) => ip.includes(":") === (family === 6));
    const pod = ofFamily.filter(({ owner }) => owner === "pod");
    return (pod.length > 0 ? pod : ofFamily).map(({ ip }) => ip);
  });
}

function ofAgent(nic: AgentNic): VmiInterfaceStatus {
  const ips = globalAddresses(nic.ips);
  return {
    ...(nic.mac !== undefined && { mac: nic.mac }),
    interfaceName: nic.name,
    ...(ips[0] !== undefined && { ipAddress: ips[0], ipAddresses: ips }),
    infoSource: "guest-agent",
    addresses: ips.map((ip): LabelledAddress => ({ ip, owner: "guest", source: "guest-agent" })),
  };
}

function globalAddresses(texts: readonly string[]): readonly Ip[] {
  return texts.flatMap((text) => {
    const ip = parseIp(text.split("/")[0] ?? "");
    return ip === undefined || ip.startsWith("fe80:") || ip.startsWith("169.254.") ? [] : [ip];
  });
}
