/**
 * What this host's libvirt and QEMU can do for user networks, found by trying: libvirt is given throw-away domains as
 * podtap would write them, and takes them or not. Versions tell less: distributions patch, and builds leave things out.
 *
 * Asked together with QEMU's capabilities, kept beside them, under the same stamp (warm-capabilities.ts).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cidr } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import { planDomain } from "../../domain/domain.ts";
import type { BackendInterface } from "../../domain/interface.ts";
import { toXml } from "../../domain/xml.ts";
import type { HostFeatures, UserNetworkWay } from "../../plan/host-features.ts";

type LibvirtWay = Exclude<UserNetworkWay, "stream">;

const ATTACHED: Readonly<Record<LibvirtWay, BackendInterface["attach"]>> = {
  "vhost-user": "vhost-user",
  backend: "stream",
};
export const LIBVIRT_WAYS = Object.keys(ATTACHED) as readonly LibvirtWay[];
/** libvirt knows one by name. */
export const PROBED = { program: "passt" } as const;

/** By way, a domain that libvirt takes where it can go that way. */
export function throwAwayDomains(): Readonly<Record<LibvirtWay, string>> {
  return { "vhost-user": domain("vhost-user"), backend: domain("backend") };
}

interface Kept {
  readonly ways: readonly LibvirtWay[];
  readonly builtin: boolean;
}

const KEPT = "user-networks.json";

/** @param netdevHelp what QEMU says to `-netdev help` */
export function keepWays(cacheDir: string, ways: readonly LibvirtWay[], netdevHelp: string): void {
  const kept: Kept = { ways, builtin: /^user$/m.test(netdevHelp) };
  writeFileSync(join(cacheDir, KEPT), JSON.stringify(kept));
}

/** With what is known; podtap's own way stays the first, for it keeps every promise. */
export function withWays(features: HostFeatures, cacheDir: string): HostFeatures {
  const kept = readKept(cacheDir);
  if (kept === undefined) return features;
  const userNetworks = features.userNetworks.map((one) =>
    one.program === PROBED.program ? { ...one, ways: [...new Set([...one.ways, ...kept.ways])] } : one,
  );
  return { ...features, userNetworks, builtinUserNetwork: kept.builtin };
}

function readKept(cacheDir: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(join(cacheDir, KEPT), "utf8")) as Kept;
  } catch {
    return undefined;
  }
}

function domain(way: LibvirtWay): string {
  const nic: BackendInterface = {
    type: "user-backend",
    backend: PROBED.program,
    attach: ATTACHED[way],
    source: "eth0",
    addresses: ["10.0.0.2/24" as Cidr, "fd00::2/64" as Cidr],
    forwards: [{ protocol: "tcp", ranges: [{ start: 80, end: 81 }] }],
    alias: "ua-probe",
    mac: "02:00:00:00:00:01" as Mac,
    model: "virtio-non-transitional",
    mtu: 1500,
    romEnabled: false,
  };
  return toXml(
    planDomain({
      vmi: {
        apiVersion: "kubevirt.io/v1",
        kind: "VirtualMachineInstance",
        metadata: { name: `probe-${way}`, namespace: "podtap" },
        spec: { domain: { devices: {}, memory: { guest: "64Mi" } } },
      },
      nics: [nic],
      disks: [],
      accelerator: { type: "tcg", reason: "it never runs" },
      consoleSocket: "/tmp/console",
      agentSocket: "/tmp/agent",
      nicSocketFolder: "/tmp",
    }),
  );
}
