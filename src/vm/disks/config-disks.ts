/**
 * Volumes that are a CD image with files for the guest to read: cloud-init in its two forms, a ConfigMap, a Secret,
 * Windows' unattended setup. Labels and names of files are KubeVirt's (`pkg/cloud-init`, `pkg/config`).
 */
import type { AccessCredentialSpec, ConfigMap, Secret, Vmi, VolumeSpec } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import {
  type CloudInitData,
  CONFIG_DRIVE_LABEL,
  configDriveFiles,
  NO_CLOUD_LABEL,
  noCloudFiles,
} from "../../domain/cloud-init.ts";
import { type DiskLookups, decodeBase64, readCloudInit } from "./cloud-init-sources.ts";
import type { IsoFile } from "./iso9660.ts";

export interface ConfigDisk {
  readonly label: string;
  readonly files: readonly IsoFile[];
}

/** KubeVirt's (`pkg/config/config.go`), where the volume names none. */
const LABEL = "cfgdata";
/** `pkg/config/sysprep.go`. */
const SYSPREP_LABEL = "unattendCD";
/** What one folder of a CD image holds (iso9660.ts). */
const MAX_FILES = 15;
const MAX_NAME = 40;

/** Undefined for a volume of another kind. */
export async function configDisk(
  vmi: Vmi,
  volume: VolumeSpec,
  lookups: DiskLookups,
): Promise<ConfigDisk | undefined> {
  const { name, cloudInitNoCloud, cloudInitConfigDrive, configMap, secret, sysprep } = volume;
  if (cloudInitNoCloud !== undefined) {
    const data = await cloudInitData(vmi, name, cloudInitNoCloud, "noCloud", lookups);
    return { label: NO_CLOUD_LABEL, files: noCloudFiles(vmi, data) };
  }
  if (cloudInitConfigDrive !== undefined) {
    const data = await cloudInitData(vmi, name, cloudInitConfigDrive, "configDrive", lookups);
    return { label: CONFIG_DRIVE_LABEL, files: configDriveFiles(vmi, data) };
  }
  if (configMap !== undefined) {
    const files = await configMapFiles(configMap.name ?? "", name, lookups, configMap.optional);
    return { label: configMap.volumeLabel || LABEL, files };
  }
  if (secret !== undefined) {
    const files = await secretFiles(secret.secretName ?? "", name, lookups, secret.optional);
    return { label: secret.volumeLabel || LABEL, files };
  }
  if (sysprep === undefined) return undefined;
  const files =
    sysprep.secret === undefined
      ? await configMapFiles(sysprep.configMap?.name ?? "", name, lookups)
      : await secretFiles(sysprep.secret.name ?? "", name, lookups);
  return { label: SYSPREP_LABEL, files };
}

type Way = "noCloud" | "configDrive";

async function cloudInitData(
  vmi: Vmi,
  volume: string,
  source: NonNullable<VolumeSpec["cloudInitNoCloud"]>,
  way: Way,
  lookups: DiskLookups,
): Promise<CloudInitData> {
  const parts = await readCloudInit(source, volume, lookups);
  const credentials = vmi.spec.accessCredentials ?? [];
  const keys = await Promise.all(credentials.map((one) => publicKeys(one, way, lookups)));
  return { ...parts, publicKeys: keys.flat() };
}

/** Every value of the secret is keys, a line each (`pkg/cloud-init: resolveNoCloudSecrets`). */
async function publicKeys(
  { sshPublicKey }: AccessCredentialSpec,
  way: Way,
  lookups: DiskLookups,
): Promise<readonly string[]> {
  if (sshPublicKey?.propagationMethod?.[way] === undefined) return [];
  const files = await secretFiles(
    sshPublicKey.source?.secret?.secretName ?? "",
    "accessCredentials",
    lookups,
  );
  return files.flatMap(({ content }) =>
    new TextDecoder()
      .decode(content)
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== ""),
  );
}

async function configMapFiles(
  name: string,
  volume: string,
  lookups: DiskLookups,
  optional = false,
): Promise<readonly IsoFile[]> {
  const found: ConfigMap | undefined = await lookups.configMap(name);
  if (found === undefined) {
    if (optional) return [];
    throw missing(`volume ${volume}: config map ${name} does not exist`);
  }
  return checked(volume, [
    ...plainFiles(found.data),
    ...Object.entries(found.binaryData ?? {}).map(([key, text]) => ({
      name: key,
      content: decodeBase64(text, volume),
    })),
  ]);
}

async function secretFiles(
  name: string,
  volume: string,
  lookups: DiskLookups,
  optional = false,
): Promise<readonly IsoFile[]> {
  const found: Secret | undefined = await lookups.secret(name);
  if (found === undefined) {
    if (optional) return [];
    throw missing(`volume ${volume}: secret ${name} does not exist`);
  }
  const plain = found.stringData ?? {};
  const encoded = Object.entries(found.data ?? {}).filter(([key]) => !Object.hasOwn(plain, key));
  return checked(volume, [
    ...encoded.map(([key, text]) => ({ name: key, content: decodeBase64(text, volume) })),
    ...plainFiles(plain),
  ]);
}

function plainFiles(data: Readonly<Record<string, string>> = {}): readonly IsoFile[] {
  const text = new TextEncoder();
  return Object.entries(data).map(([name, value]) => ({ name, content: text.encode(value) }));
}

/** Keys become names of files: nothing that leads elsewhere, and no more than a folder holds. */
function checked(volume: string, files: readonly IsoFile[]): readonly IsoFile[] {
  const odd = files.find(({ name }) => !/^[-._a-zA-Z0-9]+$/.test(name) || name.length > MAX_NAME);
  if (odd === undefined && files.length <= MAX_FILES) return files;
  throw new PodtapError({
    code: "PT-DISK-7",
    message:
      odd === undefined
        ? `volume ${volume}: ${files.length} files; a disk of files holds ${MAX_FILES}`
        : `volume ${volume}: a file cannot be named ${JSON.stringify(odd.name)}`,
    hint: `keys are up to ${MAX_NAME} of A-Z a-z 0-9 - . _, at most ${MAX_FILES} of them; more by cloud-init's write_files`,
    blame: "manifest",
    retry: "on-change",
  });
}

function missing(message: string): Error {
  return new PodtapError({
    code: "PT-DISK-2",
    message,
    hint: "create it in the VM's namespace: podtap up takes its manifest, too",
    blame: "manifest",
    retry: "on-change",
  });
}
