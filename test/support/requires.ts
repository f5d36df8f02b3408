/**
 * Skips, as the debts they are: each names what is missing, and none is allowed where PODTAP_REQUIRE lists it. What a
 * kernel may lack is said in words of its own (`the kernel lacks …`), which tools/test.sh lets pass: the outer guest
 * has it all.
 */
import { spawnSync } from "node:child_process";
import { accessSync, closeSync, constants, existsSync, openSync } from "node:fs";
import { delimiter, join } from "node:path";

export type Need =
  | "root"
  | "nft"
  | "ip"
  | "tap"
  | "qemu"
  | "libvirt"
  | "skopeo"
  | "cni"
  | "udhcpc"
  | "dhclient"
  | "dhcpcd"
  | "ssh"
  | "passt"
  | "dnsmasq"
  | "kubectl"
  | "systemd-analyze"
  | "docker"
  | "ufw"
  | "firewalld"
  | KernelPiece;

/** What tools/outer/modules brings and other kernels may lack. */
export type KernelPiece = keyof typeof pieces;

/** Options of a test that needs these: `test("…", requires("root", "nft"), () => …)`. */
export function requires(...needs: readonly Need[]): { readonly skip: string | false } {
  const missing = needs.filter((need) => !probes[need]());
  if (missing.length === 0) return { skip: false };
  const required = (process.env["PODTAP_REQUIRE"] ?? "").split(",");
  const owed = missing.filter((need) => required.includes(need) || required.includes("all"));
  if (owed.length > 0) {
    throw new Error(`PODTAP_REQUIRE lists ${owed.join(", ")}, and this machine lacks it`);
  }
  const programs = missing.filter((need) => !Object.hasOwn(pieces, need));
  if (programs.length > 0) return { skip: `needs ${programs.join(", ")}` };
  return { skip: `the kernel lacks ${missing.join(", ")}` };
}

/**
 * Asked of `ip`, `tc` and `bridge` in a network namespace that goes away again: another witness than podtap's own
 * probes (src/linux/features.ts).
 */
const pieces = {
  dummy: () => accepted("ip link add p0 type dummy"),
  vlan: () => accepted("ip link add p0 type veth peer name p1 && ip link add link p0 name p2 type vlan id 7"),
  "vlan-filtering": () => accepted("ip link add p0 type bridge vlan_filtering 1"),
  "neigh-suppress": () =>
    accepted(
      "ip link add p0 type bridge && ip link add p1 type veth peer name p2 && ip link set p1 master p0 && " +
        "ip link set p1 type bridge_slave neigh_suppress on",
    ),
  ipvlan: () =>
    accepted("ip link add p0 type veth peer name p1 && ip link add link p0 name p2 type ipvlan mode l2"),
  macvlan: () =>
    accepted("ip link add p0 type veth peer name p1 && ip link add link p0 name p2 type macvlan mode bridge"),
  macvtap: () =>
    accepted("ip link add p0 type veth peer name p1 && ip link add link p0 name p2 type macvtap mode bridge"),
  vxlan: () => accepted("ip link add p0 type vxlan id 7 dstport 4789"),
  flower: () => accepted(filter("flower")),
  matchall: () => accepted(filter("matchall")),
  u32: () => accepted(filter("u32 match u32 0 0")),
  netem: () => accepted("ip link add p0 type veth peer name p1 && tc qdisc add dev p0 root netem delay 1ms"),
  htb: () => accepted("ip link add p0 type veth peer name p1 && tc qdisc add dev p0 root handle 1: htb"),
  "nft-bridge-ct": () =>
    accepted(
      "nft 'add table bridge p; add chain bridge p c { type filter hook prerouting priority 0; }; add rule bridge p c ct state new'",
    ),
  "br-netfilter": () => existsSync("/proc/sys/net/bridge/bridge-nf-call-iptables"),
  "vhost-net": () => opens("/dev/vhost-net"),
} as const satisfies Readonly<Record<string, () => boolean>>;

function filter(match: string): string {
  return (
    "ip link add p0 type veth peer name p1 && tc qdisc add dev p0 clsact && " +
    `tc filter add dev p0 ingress protocol all prio 1 ${match} action mirred egress redirect dev p1`
  );
}

function accepted(script: string): boolean {
  return spawnSync("unshare", ["--net", "sh", "-c", script], { stdio: "ignore" }).status === 0;
}

function opens(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDWR));
    return true;
  } catch {
    return false;
  }
}

const probes: Readonly<Record<Need, () => boolean>> = {
  ...pieces,
  root: () => process.getuid?.() === 0,
  nft: () => hasProgram("nft"),
  ip: () => hasProgram("ip"),
  tap: () => existsSync("/dev/net/tun"),
  qemu: () => hasProgram("qemu-system-x86_64") || hasProgram("qemu-system-aarch64"),
  libvirt: () => hasProgram("libvirtd"),
  skopeo: () => hasProgram("skopeo"),
  cni: () => existsSync("/usr/lib/cni/bridge") || existsSync("/opt/cni/bin/bridge"),
  udhcpc: () => hasProgram("udhcpc"),
  dhclient: () => hasProgram("dhclient"),
  dhcpcd: () => hasProgram("dhcpcd"),
  ssh: () => hasProgram("ssh"),
  passt: () => hasProgram("passt"),
  dnsmasq: () => hasProgram("dnsmasq"),
  kubectl: () => hasProgram("kubectl"),
  "systemd-analyze": () => hasProgram("systemd-analyze"),
  docker: () => hasProgram("dockerd"),
  ufw: () => hasProgram("ufw"),
  firewalld: () => hasProgram("firewalld"),
};

function hasProgram(name: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
