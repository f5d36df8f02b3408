/**
 * The annotation `podtap.io/port-security`: to what a guest's frames are held at its NIC.
 *
 * KubeVirt holds nobody to anything; others do and let it be lifted by port: OpenStack's `port_security_enabled` and
 * allowed address pairs, Kube-OVN's `port_security`, Proxmox's `macfilter` and `ipfilter`. Here it is strict until
 * somebody says otherwise, which routers, firewalls, load balancers with a shared address and nested clusters need.
 */

export const PORT_SECURITY_ANNOTATION = "podtap.io/port-security";

/**
 * `strict`: its own MAC and addresses, no router, no DHCP server. `mac`: its own MAC; any address, so it may forward
 * and share addresses. `off`: whatever it sends.
 */
export const PORT_SECURITY_LEVELS = ["strict", "mac", "off"] as const;
export type PortSecurity = (typeof PORT_SECURITY_LEVELS)[number];

/** What is said of one NIC, or of all that are not named. */
export interface PortSecurityEntry {
  /** undefined: all others. */
  readonly nic: string | undefined;
  readonly level: PortSecurity;
}

/** `mac`, or `lan=off, wan=mac`, or both; the message says what cannot be read. */
export function parsePortSecurity(text: string): readonly PortSecurityEntry[] | string {
  const entries: PortSecurityEntry[] = [];
  for (const part of text.split(",").map((one) => one.trim())) {
    const [first = "", second, ...more] = part.split("=").map((one) => one.trim());
    const nic = second === undefined ? undefined : first;
    const word = second ?? first;
    const level = PORT_SECURITY_LEVELS.find((one) => one === word);
    if (level === undefined || nic === "" || more.length > 0) return `${JSON.stringify(part)} is no level`;
    if (entries.some((one) => one.nic === nic)) return `${nic ?? "the level of all NICs"} is there twice`;
    entries.push({ nic, level });
  }
  return entries;
}

/** What cannot be read is refused by admission, and strict here. */
export function portSecurityOf(annotations: Readonly<Record<string, string>>, nic: string): PortSecurity {
  const text = Object.hasOwn(annotations, PORT_SECURITY_ANNOTATION)
    ? annotations[PORT_SECURITY_ANNOTATION]
    : undefined;
  const entries = text === undefined ? [] : parsePortSecurity(text);
  if (typeof entries === "string") return "strict";
  return entries.find((one) => one.nic === nic)?.level ?? entries.find((one) => !one.nic)?.level ?? "strict";
}
