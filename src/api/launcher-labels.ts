/** The labels of a VMI's pod (`pkg/virt-controller/services/template.go`): what Services select on. */
import { sha1 } from "@noble/hashes/legacy.js";
import { hostnameOf } from "./defaults.ts";
import type { Vmi } from "./types.ts";

const LABEL_MAX = 63;

export function launcherLabels(vmi: Vmi): Readonly<Record<string, string>> {
  return {
    ...vmi.metadata.labels,
    "kubevirt.io": "virt-launcher",
    ...(vmi.metadata.uid === undefined ? {} : { "kubevirt.io/created-by": vmi.metadata.uid }),
    "vm.kubevirt.io/name": hostnameOf(vmi),
    "vmi.kubevirt.io/id": vmiId(vmi.metadata.name),
  };
}

/** The name, or what of it fits a label: 54 characters, a dash and 8 hex digits of its SHA-1. */
export function vmiId(name: string): string {
  if (name.length <= LABEL_MAX) return name;
  const digest = sha1(new TextEncoder().encode(name)).subarray(0, 4);
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${name.slice(0, 54)}-${hex}`;
}

/** Is every label of the selector there? An empty selector selects nothing. */
export function selects(
  selector: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  const wanted = Object.entries(selector ?? {});
  return (
    wanted.length > 0 && wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
  );
}
