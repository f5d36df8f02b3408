/**
 * cloud-init's documents as KubeVirt writes them (`pkg/cloud-init/cloud-init.go`): NoCloud, and OpenStack's config
 * drive, which Ignition and cloudbase-init read, too. The metadata is JSON, user data always there in NoCloud, network
 * data only where something was said, and passed through untouched.
 */
import { hostnameOf } from "../api/defaults.ts";
import type { Vmi } from "../api/types.ts";
import { firmwareUuid } from "./firmware-uuid.ts";

/** The labels by which cloud-init finds the disk. */
export const NO_CLOUD_LABEL = "cidata";
export const CONFIG_DRIVE_LABEL = "config-2";

export interface CloudInitFile {
  /** With slashes where it is in a folder. */
  readonly name: string;
  readonly content: Uint8Array;
}

export interface CloudInitData {
  /** May be compressed or MIME: bytes, not text. */
  readonly userData: Uint8Array;
  readonly networkData: Uint8Array;
  /** SSH keys from access credentials. */
  readonly publicKeys?: readonly string[];
  readonly instanceType?: string;
}

export function noCloudFiles(vmi: Vmi, data: CloudInitData): readonly CloudInitFile[] {
  const text = new TextEncoder();
  const files: CloudInitFile[] = [
    { name: "meta-data", content: text.encode(JSON.stringify(metaData(vmi, data))) },
    { name: "user-data", content: data.userData },
  ];
  if (data.networkData.length > 0) files.push({ name: "network-config", content: data.networkData });
  return files;
}

function metaData(
  vmi: Vmi,
  { publicKeys = [], instanceType }: CloudInitData,
): Readonly<Record<string, unknown>> {
  return {
    ...(instanceType !== undefined && { "instance-type": instanceType }),
    // A guest that finds another id runs its first-boot modules again.
    "instance-id": firmwareUuid(vmi),
    "local-hostname": hostnameOf(vmi),
    ...(publicKeys.length > 0 && { "public-keys": byNumber(publicKeys) }),
  };
}

export function configDriveFiles(vmi: Vmi, data: CloudInitData): readonly CloudInitFile[] {
  const folder = "openstack/latest";
  const json = new TextEncoder().encode(JSON.stringify(configDriveMetaData(vmi, data)));
  const files: CloudInitFile[] = [{ name: `${folder}/meta_data.json`, content: json }];
  if (data.userData.length > 0) files.push({ name: `${folder}/user_data`, content: data.userData });
  if (data.networkData.length > 0)
    files.push({ name: `${folder}/network_data.json`, content: data.networkData });
  return files;
}

function configDriveMetaData(
  vmi: Vmi,
  { publicKeys = [], instanceType }: CloudInitData,
): Readonly<Record<string, unknown>> {
  const { name, namespace = "default" } = vmi.metadata;
  return {
    ...(instanceType !== undefined && { instance_type: instanceType }),
    instance_id: `${name}.${namespace}`,
    hostname: hostnameOf(vmi),
    uuid: firmwareUuid(vmi),
    ...(publicKeys.length > 0 && { public_keys: byNumber(publicKeys) }),
  };
}

function byNumber(keys: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(keys.map((key, i) => [String(i), key]));
}
