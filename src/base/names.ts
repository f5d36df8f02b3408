/**
 * Names as KubeVirt makes them (`pkg/network/namescheme`, `pkg/network/link/names.go`), so that what users
 * know from a cluster is found under the same name here.
 */
import { sha256 } from "@noble/hashes/sha2.js";

/** The kernel's limit for an interface name (IFNAMSIZ less the final zero). */
export const LINK_NAME_MAX = 15;
export const PRIMARY_POD_INTERFACE = "eth0";
/** Every link that podtap makes carries this as its alias: what lacks it is never deleted. */
export const LINK_MARK = "podtap";

/** Kernel rules (`dev_valid_name`) narrowed to what nft, sysctl paths and XML carry without quoting. */
export function isLinkName(name: string): boolean {
  return (
    name.length <= LINK_NAME_MAX &&
    /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name) &&
    name !== "all" &&
    name !== "default"
  );
}

/** Pod interface of a secondary network: `pod` and 11 hex digits of SHA-256 of the network's name. */
export function secondaryPodInterface(networkName: string): string {
  return `pod${hexHash(networkName).slice(0, 11)}`;
}

export interface WiringNames {
  /** What CNI made: `eth0`, `pod16477688c0e`. */
  readonly podInterface: string;
  readonly bridge: string;
  readonly tap: string;
  /** What a pod NIC is called once it is a bridge port. */
  readonly renamedNic: string;
}

export function wiringNames(podInterface: string, primary: boolean): WiringNames {
  const stem = podInterface.replace(/^pod/, "");
  return {
    podInterface,
    bridge: `k6t-${stem}`,
    tap: primary ? "tap0" : `tap${podInterface.slice(3)}`,
    renamedNic: `${stem}-nic`,
  };
}

/** Lower-case SHA-256 of the text, 64 hex digits. */
export function hexHash(text: string): string {
  const digest = sha256(new TextEncoder().encode(text));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
