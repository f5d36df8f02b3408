/** Settings of an ordinary user's daemon: the user's own file, and a default binding that needs no root. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { PodtapError } from "../../base/errors.ts";
import { registry } from "../../bindings/index.ts";
import { type NodeConfig, parseConfig, readConfig } from "./config.ts";

/** A named file must be there; `~/.config/podtap/config.yaml` may be missing. Root's is not for users. */
export function readRootlessConfig(file: string | undefined): NodeConfig {
  const own = join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "podtap", "config.yaml");
  const path = file ?? (existsSync(own) ? own : undefined);
  const config = path === undefined ? parseConfig("", own) : readConfig(path);
  const [able] = registry.all.filter(({ traits }) => traits.rootless);
  const [method] = Object.keys(able?.spelling ?? {});
  return { ...(method !== undefined && { defaultNetworkInterface: method }), ...config };
}

/** What runs as root is not rootless, and the programs beside QEMU would leave their user on their own. */
export function refuseRoot(uid: number): void {
  if (uid !== 0) return;
  throw new PodtapError({
    code: "PT-ROOTLESS-8",
    message: "--rootless is for ordinary users, and this is root",
    hint: "leave --rootless out",
  });
}
