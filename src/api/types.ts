/**
 * The manifests podtap acts on, typed: the fields that something reads, with KubeVirt's names. Fields that
 * KubeVirt knows and podtap does not act on are in `kubevirt-fields.gen.ts`, for saying so.
 */
import type { Condition, KubeObject, ObjectMeta } from "./object.ts";

export interface PortSpec {
  readonly name?: string;
  /** Default TCP. */
  readonly protocol?: "TCP" | "UDP";
  readonly port: number;
}

export interface PortRangeSpec {
  readonly protocol: "TCP" | "UDP";
  readonly start: number;
  readonly end: number;
}

export interface DhcpOptionsSpec {
  readonly bootFileName?: string;
  readonly tftpServerName?: string;
  readonly ntpServers?: readonly string[];
  readonly privateOptions?: readonly { readonly option: number; readonly value: string }[];
}

/**
 * `spec.domain.devices.interfaces[]`: what every NIC may say, and by which key it asks for its binding: `binding`,
 * or one of the bindings' own, whose value only that binding's folder reads.
 */
export interface InterfaceSpec {
  readonly name: string;
  readonly model?: string;
  readonly macAddress?: string;
  readonly bootOrder?: number;
  readonly pciAddress?: string;
  readonly acpiIndex?: number;
  readonly tag?: string;
  readonly state?: "" | "up" | "down" | "absent";
  readonly ports?: readonly PortSpec[];
  readonly portRanges?: readonly PortRangeSpec[];
  readonly dhcpOptions?: DhcpOptionsSpec;
  readonly binding?: { readonly name: string };
  /** Method keys (binding-admission.ts); presence is the meaning, `{}` the usual value. */
  readonly [methodKey: string]: unknown;
}

export interface NetworkSpec {
  readonly name: string;
  readonly pod?: { readonly vmNetworkCIDR?: string; readonly vmIPv6NetworkCIDR?: string };
  readonly multus?: { readonly networkName: string; readonly default?: boolean };
  readonly resourceClaim?: { readonly claimName: string; readonly requestName: string };
}

export interface DiskTarget {
  readonly bus?: "virtio" | "sata" | "scsi" | "usb";
  readonly readonly?: boolean;
  readonly pciAddress?: string;
}

export interface DiskSpec {
  readonly name: string;
  readonly disk?: DiskTarget;
  readonly cdrom?: DiskTarget;
  readonly lun?: DiskTarget;
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly cache?: string;
}

export interface CloudInitSource {
  readonly userData?: string;
  readonly userDataBase64?: string;
  readonly secretRef?: { readonly name: string };
  readonly networkData?: string;
  readonly networkDataBase64?: string;
  readonly networkDataSecretRef?: { readonly name: string };
}

export interface VolumeSpec {
  readonly name: string;
  readonly containerDisk?: {
    readonly image: string;
    readonly path?: string;
    readonly imagePullPolicy?: string;
    readonly imagePullSecret?: string;
  };
  readonly cloudInitNoCloud?: CloudInitSource;
  readonly cloudInitConfigDrive?: CloudInitSource;
  readonly emptyDisk?: { readonly capacity: string };
  /** A CD image with a file a key, as are the next two. */
  readonly configMap?: {
    readonly name?: string;
    readonly optional?: boolean;
    readonly volumeLabel?: string;
  };
  readonly secret?: {
    readonly secretName?: string;
    readonly optional?: boolean;
    readonly volumeLabel?: string;
  };
  readonly sysprep?: {
    readonly configMap?: { readonly name?: string };
    readonly secret?: { readonly name?: string };
  };
}

/** `propagationMethod`: by which cloud-init volume the keys reach the guest. */
export interface AccessCredentialSpec {
  readonly sshPublicKey?: {
    readonly source?: { readonly secret?: { readonly secretName?: string } };
    readonly propagationMethod?: {
      readonly noCloud?: object;
      readonly configDrive?: object;
      readonly qemuGuestAgent?: object;
    };
  };
}

export interface CpuSpec {
  readonly cores?: number;
  readonly sockets?: number;
  readonly threads?: number;
  readonly model?: string;
}

export interface DomainSpec {
  readonly devices: {
    readonly interfaces?: readonly InterfaceSpec[];
    readonly disks?: readonly DiskSpec[];
    readonly rng?: object;
    readonly autoattachPodInterface?: boolean;
    readonly autoattachSerialConsole?: boolean;
    readonly networkInterfaceMultiqueue?: boolean;
    readonly useVirtioTransitional?: boolean;
  };
  readonly cpu?: CpuSpec;
  readonly memory?: { readonly guest?: string };
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>;
    readonly limits?: Readonly<Record<string, string | number>>;
  };
  readonly machine?: { readonly type?: string };
  readonly firmware?: {
    readonly uuid?: string;
    readonly serial?: string;
    readonly kernelBoot?: {
      readonly kernelArgs?: string;
      readonly container?: {
        readonly image: string;
        readonly kernelPath?: string;
        readonly initrdPath?: string;
        readonly imagePullPolicy?: string;
      };
    };
  };
}

export interface VmiSpec {
  readonly domain: DomainSpec;
  readonly networks?: readonly NetworkSpec[];
  readonly volumes?: readonly VolumeSpec[];
  readonly accessCredentials?: readonly AccessCredentialSpec[];
  readonly architecture?: string;
  readonly hostname?: string;
  readonly evictionStrategy?: string;
  readonly subdomain?: string;
  readonly dnsPolicy?: string;
  readonly dnsConfig?: {
    readonly nameservers?: readonly string[];
    readonly searches?: readonly string[];
    readonly options?: readonly { readonly name: string; readonly value?: string }[];
  };
  /** Default 30. */
  readonly terminationGracePeriodSeconds?: number;
}

/** One address and where podtap learned it; `ipAddresses` alone is what makes users read one as the other. */
export interface LabelledAddress {
  readonly ip: string;
  /** Whose address it is. */
  readonly owner: "pod" | "guest";
  readonly source: "cni" | "plan" | "dhcp" | "guest-agent";
}

export interface VmiInterfaceStatus {
  readonly name?: string;
  readonly ipAddress?: string;
  readonly ipAddresses?: readonly string[];
  readonly mac?: string;
  readonly podInterfaceName?: string;
  readonly interfaceName?: string;
  /** `", "`-joined subset of `domain`, `guest-agent`, `multus-status`, in the order added. */
  readonly infoSource?: string;
  readonly queueCount?: number;
  readonly linkState?: "up" | "down";
  /** podtap's own: both addresses, labelled. */
  readonly addresses?: readonly LabelledAddress[];
  readonly binding?: string;
  /** Without root, what the guest is reached by; each as many ports as from `start` to `end`. */
  readonly hostPorts?: readonly {
    readonly protocol: "tcp" | "udp";
    /** An address of the host's, or `*`. */
    readonly listen: string;
    readonly host: number;
    readonly start: number;
    readonly end: number;
  }[];
}

export type VmiPhase =
  | "Pending"
  | "Scheduling"
  | "Scheduled"
  | "Running"
  | "Succeeded"
  | "Failed"
  | "Unknown";

export interface VmiStatus {
  readonly phase?: VmiPhase;
  readonly phaseTransitionTimestamps?: readonly {
    readonly phase: string;
    readonly phaseTransitionTimestamp: string;
  }[];
  readonly reason?: string;
  readonly conditions?: readonly Condition[];
  readonly interfaces?: readonly VmiInterfaceStatus[];
  readonly nodeName?: string;
  readonly guestOSInfo?: Readonly<Record<string, string>>;
  readonly runtimeUser?: number;
  readonly activePods?: Readonly<Record<string, string>>;
  readonly migrationTransport?: string;
  readonly launcherContainerImageVersion?: string;
  /** podtap's own: `kvm` or `tcg`, and why. */
  readonly accelerator?: { readonly type: "kvm" | "tcg"; readonly reason: string };
}

/** Names an instancetype or preference; the kind of a cluster where none is said. */
export interface TypeMatcher {
  readonly name?: string;
  readonly kind?: string;
  readonly inferFromVolume?: string;
}

export interface VmSpec {
  readonly running?: boolean;
  readonly runStrategy?: "Always" | "Halted" | "Manual" | "RerunOnFailure" | "Once";
  readonly instancetype?: TypeMatcher;
  readonly preference?: TypeMatcher;
  /** Read by cluster-storage.ts alone. */
  readonly dataVolumeTemplates?: unknown;
  readonly template: { readonly metadata?: Partial<ObjectMeta>; readonly spec: VmiSpec };
}

export interface VmStatus {
  readonly created?: boolean;
  readonly ready?: boolean;
  readonly printableStatus?: string;
  readonly conditions?: readonly Condition[];
  readonly runStrategy?: string;
}

export interface ServicePort {
  readonly name?: string;
  /** Default TCP. */
  readonly protocol?: "TCP" | "UDP";
  readonly port: number;
  /** A number, or the name of a declared port; default: `port`. */
  readonly targetPort?: number | string;
}

export interface ServiceSpec {
  readonly type?: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly selector?: Readonly<Record<string, string>>;
  readonly ports?: readonly ServicePort[];
  readonly clusterIP?: string;
  readonly clusterIPs?: readonly string[];
  readonly ipFamilies?: readonly ("IPv4" | "IPv6")[];
  readonly ipFamilyPolicy?: string;
}

export interface PodStatus {
  readonly phase?: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly podIP?: string;
  readonly podIPs?: readonly { readonly ip: string }[];
  readonly message?: string;
  readonly conditions?: readonly Condition[];
}

export type VirtualMachine = KubeObject<VmSpec, VmStatus> & { readonly spec: VmSpec };
export type Vmi = KubeObject<VmiSpec, VmiStatus> & { readonly spec: VmiSpec };
export type Service = KubeObject<ServiceSpec, { readonly loadBalancer?: object }> & {
  readonly spec: ServiceSpec;
};
export type Nad = KubeObject<{ readonly config?: string }> & { readonly spec: { readonly config?: string } };
export type Pod = KubeObject<Readonly<Record<string, unknown>>, PodStatus>;
export type Secret = KubeObject & {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
};
export type ConfigMap = KubeObject & {
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
};
