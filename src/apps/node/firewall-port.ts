/** The host's firewalls, through the network worker and the programs that own them. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { FirewallPort } from "../../cluster/local/cni/host-firewall.ts";
import type { NodeNet } from "./net.ts";

/** firewalld answers over D-Bus, and may be starting. */
const PATIENCE_MS = 10_000;

/** @param zoneNote a file, there while a zone of firewalld has our bridge */
export function firewallPort(net: NodeNet, zoneNote: string): FirewallPort {
  return {
    ruleset: async () => JSON.parse(await net.call("listHostRules", {})),
    legacy: () => legacyTables("/proc/net"),
    run: (program, args) =>
      new Promise((resolve) => {
        execFile(program, [...args], { timeout: PATIENCE_MS }, (failure, printed, stderr) => {
          const code = failure === null ? 0 : typeof failure.code === "number" ? failure.code : -1;
          resolve({ code, printed, said: stderr.trim() });
        });
      }),
    zoneNote: {
      get: () => existsSync(zoneNote),
      set: (ours) => (ours ? writeFileSync(zoneNote, "") : rmSync(zoneNote, { force: true })),
    },
  };
}

/** The kernel names them where there are any; asking iptables-legacy would make them. */
export function legacyTables(folder: string): readonly ("ip" | "ip6")[] {
  return (["ip", "ip6"] as const).filter((family) => {
    const names = `${folder}/${family}_tables_names`;
    return existsSync(names) && readFileSync(names, "utf8").split("\n").includes("filter");
  });
}
