/** podtap's own annotations, on a VMI or a VM's template. */
import { errorAt, type Finding, warningAt } from "./finding.ts";
import type { Path } from "./path.ts";
import { PORT_SECURITY_ANNOTATION, parsePortSecurity } from "./port-security.ts";
import { suggest } from "./suggest.ts";

export const INBOUND_ANNOTATION = "podtap.io/inbound";
/** Who gives a guest the addresses that CNI gave the pod: podtap, or the network's own servers. */
export const DHCP_ANNOTATION = "podtap.io/dhcp";
/** How a macvlan's or macvtap's link shares the device below it; a network's own `mode` where this is absent. */
export const MACVLAN_MODE_ANNOTATION = "podtap.io/macvlan-mode";
export const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;
/** A guest on a host's interface and that host hear each other: a change of the host's own network. */
export const HOST_ACCESS_ANNOTATION = "podtap.io/host-access";
/** Without root: `8080:80, [::1]:5353:53/udp`; which port of the host leads to a declared one of the guest. */
export const HOST_PORTS_ANNOTATION = "podtap.io/host-ports";
/** How QEMU is joined to a program that is a NIC's network. */
export const USER_NETWORK_ANNOTATION = "podtap.io/user-network";
export const USER_NETWORK_WAYS = ["stream", "vhost-user", "backend"] as const;
const PREFIX = "podtap.io/";

/** Annotation to its values; null where any text will do. */
const KNOWN: ReadonlyMap<string, readonly string[] | null> = new Map<string, readonly string[] | null>([
  [INBOUND_ANNOTATION, ["declared", "all"]],
  [DHCP_ANNOTATION, ["podtap", "external"]],
  [MACVLAN_MODE_ANNOTATION, MACVLAN_MODES],
  [HOST_ACCESS_ANNOTATION, ["true", "false"]],
  [HOST_PORTS_ANNOTATION, null],
  [USER_NETWORK_ANNOTATION, USER_NETWORK_WAYS],
  [PORT_SECURITY_ANNOTATION, null],
]);

/** What may reach a guest that declares no port. */
export function inboundOf(
  annotations: Readonly<Record<string, string>>,
  fallback: "declared" | "all",
): "declared" | "all" {
  const value = Object.hasOwn(annotations, INBOUND_ANNOTATION) ? annotations[INBOUND_ANNOTATION] : undefined;
  return value === "declared" || value === "all" ? value : fallback;
}

export function checkAnnotations(
  annotations: Readonly<Record<string, string>>,
  metadata: Path,
): readonly Finding[] {
  return Object.entries(annotations)
    .filter(([key]) => key.startsWith(PREFIX))
    .flatMap(([key, value]) => {
      const at = [...metadata, "annotations", key];
      const values = KNOWN.get(key);
      if (values === undefined) {
        const near = suggest(key, KNOWN.keys());
        const message = `podtap knows no annotation ${key}`;
        const hint = near === undefined ? `Known: ${[...KNOWN.keys()].join(", ")}.` : `Did you mean ${near}?`;
        return [warningAt({ code: "PT-MAN-18", at, reason: "FieldValueNotSupported", message, hint })];
      }
      if (values === null) return key === PORT_SECURITY_ANNOTATION ? checkPortSecurity(value, at) : [];
      if (values.includes(value)) return [];
      const message = `${key} cannot be ${JSON.stringify(value)}`;
      return [errorAt({ code: "PT-MAN-19", at, message, hint: `Write ${values.join(" or ")}.` })];
    });
}

function checkPortSecurity(value: string, at: Path): readonly Finding[] {
  const read = parsePortSecurity(value);
  if (typeof read !== "string") return [];
  const message = `${PORT_SECURITY_ANNOTATION}: ${read}`;
  const hint = "Write strict, mac or off, for one interface as lan=off, for several as lan=off, wan=mac.";
  return [errorAt({ code: "PT-MAN-19", at, message, hint })];
}
