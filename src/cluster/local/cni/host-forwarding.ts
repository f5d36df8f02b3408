/**
 * Settings without which the host does not carry its pods' packets, remembered so that they can be put back.
 *
 * Theory of operation. Switching IPv6 forwarding on makes the kernel forget default routes learned by router
 * advertisements and ignore further ones, unless the link's accept_ra is 2 (Documentation/networking/ip-sysctl.rst):
 * a host would lose its own IPv6. So accept_ra is raised first where it was 1. The standard bridge plugin switches
 * forwarding on by itself: this has to run before the first ADD.
 * The note is written before the first change; an earlier value that is noted already is never overwritten. Put
 * back is only what still has the value we gave it.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Settings of the host's namespace, keys as below /proc/sys. */
export interface Sysctls {
  readSysctl(key: string): string | null;
  writeSysctl(key: string, value: string): void;
}

export interface SysctlChange {
  readonly key: string;
  readonly before: string;
  readonly value: string;
}

const V4_FORWARDING = "net/ipv4/ip_forward";
const V6_FORWARDING = "net/ipv6/conf/all/forwarding";
const acceptRa = (link: string) => `net/ipv6/conf/${link}/accept_ra`;
const forwarding = (link: string) => `net/ipv6/conf/${link}/forwarding`;

/** What has to change, in this order. Empty when all is as it should be. Pure given `read`. */
export function planForwarding(
  links: readonly string[],
  read: (key: string) => string | null,
): readonly SysctlChange[] {
  const raised = links.map(acceptRa).filter((key) => read(key) === "1");
  const wanted = [
    [V4_FORWARDING, "1"],
    ...(read(V6_FORWARDING) === "0"
      ? [...raised.map((key) => [key, "2"] as const), [V6_FORWARDING, "1"] as const]
      : []),
  ] as const;
  return wanted.flatMap(([key, value]) => {
    const before = read(key);
    return before === null || before === value ? [] : [{ key, before, value }];
  });
}

/** Idempotent. @param note in the run directory: settings do not survive a reboot either */
export function enableForwarding(
  sysctls: Sysctls,
  links: readonly string[],
  note: string,
): readonly SysctlChange[] {
  const changes = planForwarding(links, (key) => sysctls.readSysctl(key));
  if (changes.length === 0) return changes;
  const noted = readNote(note);
  // The kernel copies `all` to every link and forgets which had it of their own.
  const kept = links
    .filter((link) => sysctls.readSysctl(forwarding(link)) === "1")
    .map((link) => ({ key: forwarding(link), before: "1", value: "1" }));
  const fresh = [...kept, ...changes].filter(({ key }) => !noted.some((one) => one.key === key));
  writeNote(note, [...noted, ...fresh]);
  for (const { key, value } of changes) sysctls.writeSysctl(key, value);
  return changes;
}

/** Puts back what was noted, the last first, and forgets it. */
export function restoreForwarding(sysctls: Sysctls, note: string): readonly SysctlChange[] {
  const noted = readNote(note);
  const ours = noted
    .toReversed()
    .filter(({ key, before, value }) => before !== value && sysctls.readSysctl(key) === value);
  for (const { key, before } of ours) sysctls.writeSysctl(key, before);
  if (ours.some(({ key }) => key === V6_FORWARDING)) {
    for (const { key, before, value } of noted) {
      if (before === value && sysctls.readSysctl(key) !== null) sysctls.writeSysctl(key, value);
    }
  }
  for (const path of [note, `${note}.new`]) rmSync(path, { force: true });
  return ours;
}

function readNote(path: string): readonly SysctlChange[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as readonly SysctlChange[];
  } catch (thrown) {
    if ((thrown as { code?: string }).code === "ENOENT") return [];
    throw thrown;
  }
}

function writeNote(path: string, changes: readonly SysctlChange[]): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, JSON.stringify(changes));
  renameSync(`${path}.new`, path);
}
