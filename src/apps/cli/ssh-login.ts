/** Who to log in as, read from the manifest: cloud-init makes that user and gives it the keys. */
import type { VolumeSpec } from "../../api/types.ts";

/** `user:` of the first `#cloud-config` that is not behind a Secret. */
export function cloudInitUser(volumes: readonly VolumeSpec[]): string | undefined {
  for (const { cloudInitNoCloud: source } of volumes) {
    const text =
      source?.userData ??
      (source?.userDataBase64 === undefined
        ? undefined
        : Buffer.from(source.userDataBase64, "base64").toString("utf8"));
    const user = /^user:\s*["']?([A-Za-z0-9_][A-Za-z0-9_.-]*)["']?\s*$/m.exec(text ?? "")?.[1];
    if (user !== undefined) return user;
  }
  return undefined;
}
