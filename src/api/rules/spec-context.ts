/** What an admission rule is asked about: one VMI spec, alone or as the template of a VM. */
import type { Finding } from "../finding.ts";
import type { Path } from "../path.ts";
import type { Settings } from "../settings.ts";
import type { DomainSpec, InterfaceSpec, NetworkSpec, VmiSpec, VolumeSpec } from "../types.ts";

/** Fields that rules look at and nothing else in podtap reads. */
export interface AdmittedSpec extends Omit<VmiSpec, "domain" | "volumes"> {
  readonly domain: AdmittedDomain;
  readonly volumes?: readonly AdmittedVolume[];
  readonly readinessProbe?: ProbeSpec;
  readonly livenessProbe?: ProbeSpec;
  readonly resourceClaims?: readonly ResourceClaimSpec[];
}

export interface AdmittedDomain extends DomainSpec {
  readonly devices: DomainSpec["devices"] & {
    readonly filesystems?: readonly { readonly name: string }[];
    readonly gpus?: readonly DeviceClaim[];
    readonly hostDevices?: readonly DeviceClaim[];
  };
  readonly launchSecurity?: { readonly sev?: object; readonly snp?: object; readonly tdx?: object };
}

export interface AdmittedVolume extends VolumeSpec {
  readonly cloudInitConfigDrive?: VolumeSpec["cloudInitNoCloud"];
  readonly memoryDump?: object;
}

export interface DeviceClaim {
  readonly name: string;
  readonly claimName?: string;
  readonly requestName?: string;
}

export interface ProbeSpec {
  readonly exec?: object;
  readonly guestAgentPing?: object;
  readonly httpGet?: object;
  readonly tcpSocket?: object;
}

export interface ResourceClaimSpec {
  readonly name?: string;
  readonly resourceClaimName?: string;
  readonly resourceClaimTemplateName?: string;
}

export interface SpecContext {
  /** With KubeVirt's default NIC added, as its admission sees it. */
  readonly spec: AdmittedSpec;
  /** Path of the spec: `spec`, or `spec.template.spec`. */
  readonly path: Path;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Path of the metadata that labels and annotations stand in. */
  readonly metadataPath: Path;
  readonly settings: Settings;
}

export type SpecRule = (vmi: SpecContext) => readonly Finding[];

export interface Nic {
  readonly iface: InterfaceSpec;
  readonly at: Path;
  /** The network of the same name; of several, the last, as in KubeVirt. */
  readonly network: NetworkSpec | undefined;
}

export function nicsOf(vmi: SpecContext): readonly Nic[] {
  const networks = new Map(networksOf(vmi).map((network) => [network.name, network]));
  const { interfaces = [] } = vmi.spec.domain.devices;
  return interfaces.map((iface, i) => ({
    iface,
    at: [...vmi.path, "domain", "devices", "interfaces", i],
    network: networks.get(iface.name),
  }));
}

export function networksOf(vmi: SpecContext): readonly NetworkSpec[] {
  return vmi.spec.networks ?? [];
}

export function networkPath(vmi: SpecContext, index: number): Path {
  return [...vmi.path, "networks", index];
}

/** Spellings that KubeVirt dropped in v1.3. podtap takes them for today's, unless told to be strict. */
export const OLD_SPELLINGS = ["slirp", "passt", "macvtap"] as const;
export const OLD_SPELLING_TODAY: Readonly<Record<(typeof OLD_SPELLINGS)[number], string>> = {
  slirp: "binding: {name: slirp}",
  passt: "passtBinding: {}",
  macvtap: "binding: {name: macvtap}",
};

/** The method keys an interface carries. Exactly one is right (rule 11). */
export function bindingKeys(iface: InterfaceSpec, settings: Settings): readonly string[] {
  const today = ["bridge", "masquerade", "sriov", "passtBinding", "binding"];
  const keys = settings.compat === "strict" ? today : [...today, ...OLD_SPELLINGS];
  return keys.filter((key) => iface[key as keyof InterfaceSpec] !== undefined);
}

export function isDefaultNetwork(network: NetworkSpec | undefined): boolean {
  return network?.pod !== undefined || network?.multus?.default === true;
}
