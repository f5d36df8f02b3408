/**
 * The fields that some part of podtap reads, by type: everything else that KubeVirt knows gets a warning that
 * podtap does not act on it. A type that is missing here is read whole, or not reached. Keep in step with
 * types.ts; rules that merely check a field do not make it acted on. Method keys of interfaces are not listed:
 * field-table.ts has them from the bindings.
 */
export const ACTED_ON: Readonly<Record<string, string>> = {
  VirtualMachineSpec: "running runStrategy template",
  VirtualMachineInstanceSpec:
    "domain networks volumes accessCredentials hostname subdomain dnsPolicy dnsConfig terminationGracePeriodSeconds",
  AccessCredential: "sshPublicKey",
  SSHPublicKeyAccessCredentialPropagationMethod: "noCloud configDrive",
  DomainSpec: "devices cpu memory resources machine firmware",
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

const sets = new Map(Object.entries(ACTED_ON).map(([type, names]) => [type, new Set(names.split(" "))]));

export function isActedOn(type: string, field: string): boolean {
  return sets.get(type)?.has(field) ?? true;
}
