/** MAC addresses: 6 bytes, written with lower-case colons everywhere inside podtap. */

/** Canonical form: `02:00:00:00:00:01`. `parseMac` is the only way in. */
export type Mac = string & { readonly __brand: "Mac" };

const COLON_OR_DASH = /^([0-9a-f]{2})([:-])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}$/i;
const CISCO = /^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$/i;

/** Accepts `aa:bb:…`, `aa-bb-…` and `aabb.ccdd.eeff`, as Go's net.ParseMAC does for 6 bytes. */
export function parseMac(text: string): Mac | undefined {
  if (!COLON_OR_DASH.test(text) && !CISCO.test(text)) return undefined;
  const digits = text.replace(/[:.-]/g, "").toLowerCase();
  return (digits.match(/../g) ?? []).join(":") as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(":"), (pair) => Number.parseInt(pair, 16));
}

export function macFromBytes(bytes: Uint8Array): Mac {
  return Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join(":") as Mac;
}

/** The reserved MAC of the in-pod masquerade bridge (KubeVirt: `pkg/network/link/address.go`). */
export const BRIDGE_MAC = "02:00:00:00:00:00" as Mac;
