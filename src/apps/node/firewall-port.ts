/** The host's firewalls, through the network worker and the programs that own them. */
import { execFile } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import type { FirewallPort } from "../../cluster/local/cni/host-firewall.ts";
import type { NodeNet } from "./net.ts";

/** firewalld answers over D-Bus, and may be starting. */
const PATIENCE_MS = 10_000;

/** @param zoneNote a file, there while a zone of firewalld has our bridge */
export function firewallPort(net: NodeNet, zoneNote: string): FirewallPort {
  return {
    ruleset: async () => JSON.parse(await net.call("listHostRules", {})),
    run: (program, args) =>
      new Promise((resolve) => {
        execFile(program, [...args], { timeout: PATIENCE_MS }, (failure, _, stderr) => {
          const code = failure === null ? 0 : typeof failure.code === "number" ? failure.code : -1;
          resolve({ code, said: stderr.trim() });
        });
      }),
    zoneNote: {
      get: () => existsSync(zoneNote),
      set: (ours) => (ours ? writeFileSync(zoneNote, "") : rmSync(zoneNote, { force: true })),
    },
  };
}
