/** Kernel settings of a network namespace: files below /proc/sys/net. Call inside that namespace's window. */
import { readFileSync, writeFileSync } from "node:fs";
import { EINVAL, ENOENT, errnoOf, inKernelWords, KernelError } from "./errno.ts";
import { ownProc } from "./own-proc.ts";

/** Only `net` belongs to a namespace. A segment never begins with a dot, so that no key leaves /proc/sys. */
const KEY = /^net(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$/;
/** What settings look like: numbers, words, ranges. */
const VALUE = /^[\x20-\x7e]{1,255}$/;

/** null where the kernel has no such key. */
export function readSysctl(key: string): string | null {
  const path = sysctlPath(key, "read the setting");
  try {
    // Lists are printed with tabs and written with spaces.
    return readFileSync(path, "utf8").trim().replaceAll("\t", " ");
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === ENOENT) return null;
    if (errno === undefined) throw thrown;
    throw new KernelError({ errno, operation: "read the setting", object: key });
  }
}

export function writeSysctl(key: string, value: string): void {
  const path = sysctlPath(key, "change the setting");
  if (!VALUE.test(value)) {
    throw new KernelError({
      errno: EINVAL,
      operation: "change the setting",
      object: key,
      said: `${JSON.stringify(value)} is not a setting's value`,
    });
  }
  inKernelWords(
    `set to ${JSON.stringify(value)} the setting`,
    key,
    () => writeFileSync(path, value, { flag: "r+" }),
    "the kernel has no such setting, or it belongs to a link that is not there; see `sysctl -a` in that namespace",
  );
}

function sysctlPath(key: string, operation: string): string {
  if (KEY.test(key)) return `${ownProc()}/sys/${key}`;
  throw new KernelError({
    errno: EINVAL,
    operation,
    object: JSON.stringify(key),
    said: "only keys below net/ belong to a pod",
  });
}
