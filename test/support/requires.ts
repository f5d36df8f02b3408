/** Skips, as the debts they are: each names what is missing, and none is allowed where PODTAP_REQUIRE lists it. */
import { accessSync, constants, existsSync } from "node:fs";
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
  | "ssh";

/** Options of a test that needs these: `test("…", requires("root", "nft"), () => …)`. */
export function requires(...needs: readonly Need[]): { readonly skip: string | false } {
  const missing = needs.filter((need) => !probes[need]());
  if (missing.length === 0) return { skip: false };
  const required = (process.env["PODTAP_REQUIRE"] ?? "").split(",");
  const owed = missing.filter((need) => required.includes(need) || required.includes("all"));
  if (owed.length > 0) {
    throw new Error(`PODTAP_REQUIRE lists ${owed.join(", ")}, and this machine lacks it`);
  }
  return { skip: `needs ${missing.join(", ")}` };
}

const probes: Readonly<Record<Need, () => boolean>> = {
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
