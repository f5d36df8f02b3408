/**
 * cloud-init's NoCloud documents as KubeVirt writes them (`pkg/cloud-init/cloud-init.go`): `meta-data` as JSON,
 * `user-data` always, `network-config` only where something was said. Network data is passed through untouched.
 */
import { hostnameOf } from "../api/defaults.ts";
import type { Vmi } from "../api/types.ts";
import { firmwareUuid } from "./firmware-uuid.ts";

/** The label by which cloud-init finds the disk. */
export const NO_CLOUD_LABEL = "cidata";

export interface CloudInitFile {
  readonly name: "meta-data" | "user-data" | "network-config";
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
    ...(publicKeys.length > 0 && {
      "public-keys": Object.fromEntries(publicKeys.map((key, i) => [String(i), key])),
    }),
  };
}
