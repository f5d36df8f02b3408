/**
 * The fields that some part of podtap reads, by type: everything else that KubeVirt knows gets a warning that
 * podtap does not act on it. A type that is missing here is read whole, or not reached. Keep in step with
 * types.ts; rules that merely check a field do not make it acted on. Method keys of interfaces are not listed:
 * field-table.ts has them from the bindings.
 */
export const ACTED_ON: Readonly<Record<string, string>> = {
  VirtualMachineSpec: "running runStrategy template instancetype preference dataVolumeTemplates",
  VirtualMachineInstanceSpec:
    "domain networks volumes accessCredentials hostname subdomain dnsPolicy dnsConfig terminationGracePeriodSeconds architecture",
  AccessCredential: "sshPublicKey",
  SSHPublicKeyAccessCredentialPropagationMethod: "noCloud configDrive",
  DomainSpec: "devices cpu memory resources machine firmware features clock",
  // Every guest has these three, and a clock in UTC.
  Features: "acpi apic smm",
  Clock: "utc",
  Devices:
    "interfaces disks rng autoattachPodInterface autoattachSerialConsole networkInterfaceMultiqueue useVirtioTransitional",
  CPU: "cores sockets threads model",
  Memory: "guest",
  ResourceRequirements: "requests limits",
  Firmware: "uuid serial kernelBoot",
  KernelBoot: "kernelArgs container",
  KernelBootContainer: "image kernelPath initrdPath imagePullPolicy",
  ContainerDiskSource: "image path imagePullPolicy imagePullSecret",
  Interface:
    "name model macAddress bootOrder pciAddress acpiIndex state ports portRanges dhcpOptions binding",
  Disk: "name disk cdrom lun bootOrder serial cache",
  LunTarget: "bus readonly",
  CDRomTarget: "bus readonly",
  ServiceSpec: "type selector ports clusterIP clusterIPs ipFamilies ipFamilyPolicy",
  ServicePort: "name protocol port targetPort",
};

/** Fields that choose among nodes, or tune what nobody sees here: without any effect on one machine. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  VirtualMachineSpec: "updateVolumesStrategy",
  VirtualMachineInstanceSpec:
    "affinity nodeSelector tolerations topologySpreadConstraints priorityClassName schedulerName evictionStrategy",
  DomainSpec: "ioThreadsPolicy ioThreads",
  Devices:
    "autoattachGraphicsDevice autoattachInputDevice autoattachMemBalloon blockMultiQueue clientPassthrough " +
    "disableHotplug inputs logSerialConsole",
  CPU: "maxSockets",
  Memory: "maxGuest",
  ServiceSpec:
    "externalTrafficPolicy internalTrafficPolicy loadBalancerClass allocateLoadBalancerNodePorts " +
    "healthCheckNodePort loadBalancerIP loadBalancerSourceRanges publishNotReadyAddresses trafficDistribution",
  ServicePort: "appProtocol nodePort",
};

const sets = setsOf(ACTED_ON);
const idle = setsOf(WITHOUT_EFFECT);

function setsOf(table: Readonly<Record<string, string>>): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(Object.entries(table).map(([type, names]) => [type, new Set(names.split(" "))]));
}

export function isActedOn(type: string, field: string): boolean {
  return sets.get(type)?.has(field) ?? true;
}

export function isWithoutEffect(type: string, field: string): boolean {
  return idle.get(type)?.has(field) ?? false;
}
