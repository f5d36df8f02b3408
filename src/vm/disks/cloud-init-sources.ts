/**
 * Where a cloud-init volume takes its user data and network data from: inline, base64, or a secret, under KubeVirt's
 * keys (`pkg/cloud-init/cloud-init.go: resolveNoCloudSecrets`).
 */
import type { CloudInitSource, ConfigMap, Secret } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";

type Found<T> = T | undefined | Promise<T | undefined>;

/** Objects of the VMI's namespace, by name. */
export interface DiskLookups {
  secret(name: string): Found<Secret>;
  configMap(name: string): Found<ConfigMap>;
}

export interface CloudInitParts {
  readonly userData: Uint8Array;
  readonly networkData: Uint8Array;
}

export async function readCloudInit(
  source: CloudInitSource,
  volume: string,
  lookups: DiskLookups,
): Promise<CloudInitParts> {
  const part = async (
    inline: string | undefined,
    base64: string | undefined,
    secret: { readonly name: string } | undefined,
    keys: readonly string[],
  ): Promise<Uint8Array> => {
    if (secret !== undefined) return secretValue(secret.name, keys, volume, lookups);
    if (base64 !== undefined && base64 !== "") return decodeBase64(base64, volume);
    return Buffer.from(inline ?? "", "utf8");
  };
  return {
    userData: await part(source.userData, source.userDataBase64, source.secretRef, ["userdata", "userData"]),
    networkData: await part(source.networkData, source.networkDataBase64, source.networkDataSecretRef, [
      "networkdata",
      "networkData",
    ]),
  };
}

/** The first of these keys that a secret has. */
export async function secretValue(
  name: string,
  keys: readonly string[],
  volume: string,
  lookups: DiskLookups,
): Promise<Uint8Array> {
  const secret = await lookups.secret(name);
  if (secret === undefined) {
    throw missing(
      `volume ${volume}: secret ${name} does not exist`,
      `create it with the key ${keys[0]}: podtap up takes its manifest, too`,
    );
  }
  for (const key of keys) {
    const plain = secret.stringData?.[key];
    if (plain !== undefined) return Buffer.from(plain, "utf8");
    const encoded = secret.data?.[key];
    if (encoded !== undefined) return decodeBase64(encoded, volume);
  }
  throw missing(
    `volume ${volume}: secret ${name} has no key ${keys.join(" or ")}`,
    `it has ${secretKeys(secret)}`,
  );
}

export function decodeBase64(text: string, volume: string): Uint8Array {
  const bare = text.replace(/\s/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(bare) || bare.length % 4 !== 0) {
    throw new PodtapError({
      code: "PT-DISK-3",
      message: `volume ${volume}: the data is not base64`,
      hint: "encode it with base64 -w0, or use userData for plain text",
      blame: "manifest",
      retry: "on-change",
    });
  }
  return Buffer.from(bare, "base64");
}

function secretKeys(secret: Secret): string {
  return [...Object.keys(secret.data ?? {}), ...Object.keys(secret.stringData ?? {})].join(", ") || "none";
}

function missing(message: string, hint: string): Error {
  return new PodtapError({ code: "PT-DISK-2", message, hint, blame: "manifest", retry: "on-change" });
}
