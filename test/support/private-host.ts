/**
 * A host of the test's own: the file is run again in a fresh network and mount namespace with an empty /run, so
 * that what a node does to its host (bridges, forwarding, nftables) is done to nobody else's.
 */
import { execFileSync, spawnSync } from "node:child_process";

const MARK = "PODTAP_TEST_PRIVATE_HOST";

/**
 * To be called first in a test file with `import.meta.filename`. Outside, does not return: the process ends with the
 * inner one's status. Without root there is nothing to protect; tests are skipped then.
 */
export function onPrivateHost(file: string): void {
  if (process.getuid?.() !== 0) return;
  if (process.env[MARK] === file) {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
    execFileSync("mount", ["-t", "sysfs", "sysfs", "/sys"]);
    execFileSync("ip", ["link", "set", "lo", "up"]);
    return;
  }
  const inner = ["--net", "--mount", "--", process.execPath, ...process.execArgv, file];
  const { status } = spawnSync("unshare", inner, { stdio: "inherit", env: { ...process.env, [MARK]: file } });
  process.exit(status ?? 1);
}
