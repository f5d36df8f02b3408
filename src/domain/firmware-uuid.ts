/**
 * The UUID that a guest finds in its SMBIOS and that cloud-init takes for the instance's identity. The manifest's
 * `firmware.uuid`, else a name-based UUID (RFC 9562, 5.5) of the VMI's uid in KubeVirt's own name space
 * (`pkg/virt-controller/watch/util.go: CalculateLegacyUUID`), so that it is the same on every reading.
 */
import { sha1 } from "@noble/hashes/legacy.js";
import type { Vmi } from "../api/types.ts";

const NAMESPACE = "6a1a24a1406146078bf4a3963d0c5895";

export function firmwareUuid(vmi: Vmi): string {
  const { uid, namespace, name } = vmi.metadata;
  return vmi.spec.domain.firmware?.uuid ?? uuidFrom(uid ?? `${namespace ?? "default"}/${name}`);
}

function uuidFrom(name: string): string {
  const space = Uint8Array.from(NAMESPACE.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const text = new TextEncoder().encode(name);
  const input = new Uint8Array(space.length + text.length);
  input.set(space);
  input.set(text, space.length);
  const bytes = sha1(input).slice(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
