/**
 * Keeps the ports of the pod bridge as br_netfilter needs them (default-network.ts says why): it may come and go
 * while pods run, with Docker for one. Cheap; to be called whenever Services change.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CALLS = ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"];

/** Do bridged packets meet the host's rules, in either family? */
export function needsHairpin(readSysctl: (key: string) => string | null): boolean {
  return CALLS.some((key) => readSysctl(key) === "1");
}

/** Ports that were changed. A bridge or port that is gone is none. */
export function setHairpin(bridge: string, on: boolean, sysfs = "/sys/class/net"): readonly string[] {
  const wanted = on ? "1" : "0";
  return unlessGone(() => readdirSync(join(sysfs, bridge, "brif")), []).filter((port) => {
    const path = join(sysfs, bridge, "brif", port, "hairpin_mode");
    return unlessGone(() => {
      if (readFileSync(path, "utf8").trim() === wanted) return false;
      writeFileSync(path, wanted);
      return true;
    }, false);
  });
}

function unlessGone<T>(run: () => T, otherwise: T): T {
  try {
    return run();
  } catch (thrown) {
    if (!["ENOENT", "ENODEV"].includes((thrown as { code?: string }).code ?? "")) throw thrown;
    return otherwise;
  }
}
