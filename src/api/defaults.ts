/**
 * What a manifest means where it says nothing: KubeVirt's defaults (`pkg/network/vmispec/defaults.go`,
 * `pkg/defaults`), and one spelling for what can be written in two ways. The input stays as it is.
 */
import { type Cidr, familyOf, parseCidr } from "../base/ip.ts";
import { askingKeys, type BindingAdmission, methodFields, ownPrivateNetwork } from "./binding-admission.ts";
import type { OwnerReference } from "./object.ts";
import { quantityValue } from "./quantity.ts";
import { sanitiseCidr, sanitiseIp } from "./sanitise.ts";
import type { Settings } from "./settings.ts";
import type {
  CpuSpec,
  DomainSpec,
  InterfaceSpec,
  NetworkSpec,
  VirtualMachine,
  Vmi,
  VmiSpec,
  VolumeSpec,
} from "./types.ts";

const QUEUES_MAX = 256;
const HOSTNAME_MAX = 63;
const GRACE_SECONDS = 30;

type NicLists = {
  readonly networks?: readonly NetworkSpec[];
  readonly domain: { readonly devices: Pick<DomainSpec["devices"], "interfaces" | "autoattachPodInterface"> };
};

/**
 * KubeVirt's default NIC: added when the manifest names neither a network nor an interface and does not forbid
 * it. A lone interface is not completed, it is an error (rules 25, 27).
 */
export function needsDefaultNic({ networks, domain }: NicLists): boolean {
  const { interfaces, autoattachPodInterface } = domain.devices;
  return autoattachPodInterface !== false && (networks ?? []).length === 0 && (interfaces ?? []).length === 0;
}

export function withDefaultNic<T extends NicLists>(spec: T, settings: Settings): T {
  if (!needsDefaultNic(spec)) return spec;
  const binding = settings.known.find(({ method }) => method === settings.defaultBinding);
  const iface: InterfaceSpec = { name: "default", ...(binding && methodFields(binding)) };
  return {
    ...spec,
    networks: [{ name: "default", pod: {} }],
    domain: { ...spec.domain, devices: { ...spec.domain.devices, interfaces: [iface] } },
  };
}

/** What runs: every default filled in, every spelling today's. Meant for a spec without errors. */
export function effectiveVmiSpec(spec: VmiSpec, settings: Settings): VmiSpec {
  const full = withDefaultNic(spec, settings);
  const interfaces = (full.domain.devices.interfaces ?? []).map((iface) =>
    todaysInterface(iface, settings.known),
  );
  const { requests, limits } = full.domain.resources ?? {};
  const memory = full.domain.memory?.guest ?? requests?.["memory"] ?? limits?.["memory"];
  return {
    ...full,
    domain: {
      ...full.domain,
      cpu: { ...full.domain.cpu, ...topologyOf(full.domain) },
      ...(memory === undefined ? {} : { memory: { ...full.domain.memory, guest: String(memory) } }),
      machine: { type: machineType(full.domain) },
      devices: { ...full.domain.devices, interfaces, ...disksOf(full) },
      ...firmwareOf(full.domain),
    },
    networks: (full.networks ?? []).map((network) => effectiveNetwork(network, interfaces, settings.known)),
    ...(full.volumes === undefined ? {} : { volumes: full.volumes.map(effectiveVolume) }),
    ...dnsOf(full),
    terminationGracePeriodSeconds: full.terminationGracePeriodSeconds ?? GRACE_SECONDS,
  };
}

/** Machine types of a distribution's own QEMU, as `pc-q35-rhel9.2.0`, are q35 elsewhere. */
export function isForeignMachine(type: string): boolean {
  return /^pc-q35-(?!\d+\.\d+$)/.test(type);
}

function machineType({ machine }: DomainSpec): string {
  const type = machine?.type || "q35";
  return isForeignMachine(type) ? "q35" : type;
}

/** Every spelling of a binding becomes today's; NTP servers lose leading zeros. */
function todaysInterface(iface: InterfaceSpec, known: readonly BindingAdmission[]): InterfaceSpec {
  const asked = known
    .map((binding) => ({
      binding,
      keys: askingKeys(binding, iface).filter((key) => !(key in methodFields(binding)) || key === "binding"),
    }))
    .filter(({ keys }) => keys.length > 0);
  const gone = new Set(asked.flatMap(({ keys }) => keys));
  const rest = Object.fromEntries(Object.entries(iface).filter(([key]) => !gone.has(key)));
  const dhcp = iface.dhcpOptions;
  return {
    ...(rest as InterfaceSpec),
    ...Object.assign({}, ...asked.map(({ binding }) => methodFields(binding))),
    ...(dhcp?.ntpServers === undefined
      ? {}
      : { dhcpOptions: { ...dhcp, ntpServers: dhcp.ntpServers.map(sanitiseIp) } }),
  };
}

/** A private network that is named in podtap's way goes where KubeVirt has it; an IPv6 one sets the IPv6 network. */
function effectiveNetwork(
  network: NetworkSpec,
  interfaces: readonly InterfaceSpec[],
  known: readonly BindingAdmission[],
): NetworkSpec {
  if (network.pod === undefined) return network;
  const written = network.pod.vmNetworkCIDR;
  const iface = interfaces.find(({ name }) => name === network.name);
  const own = iface && known.flatMap((binding) => ownPrivateNetwork(binding, iface) ?? [])[0];
  const cidr = own && parseCidr(own.text);
  return {
    ...network,
    pod: {
      ...network.pod,
      ...(written === undefined ? {} : { vmNetworkCIDR: sanitiseCidr(written) }),
      ...(cidr === undefined ? {} : asPodField(cidr)),
    },
  };
}

function asPodField(cidr: Cidr): NonNullable<NetworkSpec["pod"]> {
  return familyOf(cidr) === 4 ? { vmNetworkCIDR: cidr } : { vmIPv6NetworkCIDR: cidr };
}

/** An empty CD-ROM drive is left out: nothing could be put into it. */
function disksOf({ domain, volumes = [] }: VmiSpec): Pick<DomainSpec["devices"], "disks"> {
  const { disks } = domain.devices;
  if (disks === undefined) return {};
  const names = new Set(volumes.map(({ name }) => name));
  return { disks: disks.filter(({ name, cdrom }) => cdrom === undefined || names.has(name)) };
}

function firmwareOf({ firmware }: DomainSpec): Pick<DomainSpec, "firmware"> {
  const boot = firmware?.kernelBoot;
  if (firmware === undefined || boot?.container === undefined)
    return firmware === undefined ? {} : { firmware };
  const { container } = boot;
  const imagePullPolicy = container.imagePullPolicy || pullPolicyOf(container.image);
  return { firmware: { ...firmware, kernelBoot: { ...boot, container: { ...container, imagePullPolicy } } } };
}

function effectiveVolume(volume: VolumeSpec): VolumeSpec {
  const disk = volume.containerDisk;
  if (disk === undefined) return volume;
  return {
    ...volume,
    containerDisk: { ...disk, imagePullPolicy: disk.imagePullPolicy || pullPolicyOf(disk.image) },
  };
}

/** Kubernetes: a tag that moves is pulled always, any other once. */
export function pullPolicyOf(image: string): "Always" | "IfNotPresent" {
  if (image.includes("@")) return "IfNotPresent";
  const tag = /:([^/:]*)$/.exec(image)?.[1];
  return tag === undefined || tag === "latest" ? "Always" : "IfNotPresent";
}

function dnsOf({ dnsConfig }: VmiSpec): Pick<VmiSpec, "dnsConfig"> {
  if (dnsConfig === undefined) return {};
  const { nameservers } = dnsConfig;
  return {
    dnsConfig: {
      ...dnsConfig,
      ...(nameservers === undefined ? {} : { nameservers: nameservers.map(sanitiseIp) }),
    },
  };
}

/** The VMI of a VM: its name and namespace, labels and annotations of the template only, owned by the VM. */
export function vmiFromVm(vm: VirtualMachine): Vmi {
  const { metadata = {}, spec } = vm.spec.template;
  const owner: OwnerReference = {
    apiVersion: vm.apiVersion,
    kind: vm.kind,
    name: vm.metadata.name,
    uid: vm.metadata.uid ?? "",
    controller: true,
  };
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: {
      name: vm.metadata.name,
      namespace: vm.metadata.namespace ?? "default",
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
      ...(vm.metadata.uid === undefined ? {} : { ownerReferences: [owner] }),
    },
    spec,
  };
}

/** KubeVirt's guest and pod host name: `spec.hostname`, or the first dot-part of the name, cut to a label. */
export function hostnameOf({ metadata, spec }: Vmi): string {
  const first = metadata.name.split(".")[0] ?? "";
  return spec.hostname || first.slice(0, HOSTNAME_MAX).replace(/-+$/, "");
}

/**
 * 1 x 1 x 1 where nothing is said; where only a CPU limit or request is, that many sockets
 * (`pkg/virt-launcher/virtwrap/converter/vcpu`).
 */
function topologyOf({
  cpu,
  resources,
}: DomainSpec): Required<Pick<CpuSpec, "cores" | "sockets" | "threads">> {
  const { cores = 0, sockets = 0, threads = 0 } = cpu ?? {};
  if (cores === 0 && sockets === 0 && threads === 0) {
    const amount = resources?.limits?.["cpu"] ?? resources?.requests?.["cpu"];
    return {
      cores: 1,
      sockets: Math.max(1, (amount === undefined ? undefined : quantityValue(amount)) ?? 1),
      threads: 1,
    };
  }
  return { cores: cores || 1, sockets: sockets || 1, threads: threads || 1 };
}

export function vcpuCount(spec: VmiSpec): number {
  const { cores, sockets, threads } = topologyOf(spec.domain);
  return cores * sockets * threads;
}

/** Queues of a virtio NIC: 0 for a single queue, else one a vCPU (`virtio-queues.go`). */
export function queueCapacity(spec: VmiSpec): number {
  return spec.domain.devices.networkInterfaceMultiqueue === true ? Math.min(vcpuCount(spec), QUEUES_MAX) : 0;
}
