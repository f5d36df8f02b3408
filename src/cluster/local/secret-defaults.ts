/** What the API server itself fills in for a Secret: its type, and `stringData` folded into `data`. */
import type { KubeObject } from "../../api/object.ts";
import type { Secret } from "../../api/types.ts";

export function withSecretDefaults(object: KubeObject): KubeObject {
  if (object.kind !== "Secret" || object.apiVersion !== "v1") return object;
  const { stringData, ...secret } = object as Secret;
  const plain = Object.entries(stringData ?? {});
  const folded = plain.map(([key, text]) => [key, Buffer.from(String(text)).toString("base64")] as const);
  const data = { ...secret.data, ...Object.fromEntries(folded) };
  return {
    ...secret,
    type: secret.type ?? "Opaque",
    ...(Object.keys(data).length > 0 ? { data } : {}),
  } as KubeObject;
}
