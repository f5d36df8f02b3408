/** What an admission rule is asked about: one VMI spec, alone or as the template of a VM. */
import type { Nic } from "../binding-admission.ts";
import type { Finding } from "../finding.ts";
import type { Path } from "../path.ts";
import type { Settings } from "../settings.ts";
import type { DomainSpec, NetworkSpec, VmiSpec, VolumeSpec } from "../types.ts";

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

export function isDefaultNetwork(network: NetworkSpec | undefined): boolean {
  return network?.pod !== undefined || network?.multus?.default === true;
}
