/**
 * What the kernel said, as an error for people: operation, object, the kernel's words and name for it, the usual
 * cause. The code is `PT-KERNEL-<errno>`, so that it survives a worker's border and a log.
 */
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { PodtapError, type Retry } from "../base/errors.ts";

export const { EPERM, ENOENT, EAGAIN, EBUSY, EEXIST, ENODEV, EINVAL, EINTR, EADDRNOTAVAIL } = constants.errno;
export const { EACCES, EINPROGRESS, ENETDOWN, ENETUNREACH, ENOBUFS, EOPNOTSUPP, ESRCH, ETIMEDOUT } =
  constants.errno;
const { ENOMEM, EADDRINUSE, ECONNREFUSED, EHOSTUNREACH } = constants.errno;

export interface KernelFacts {
  readonly errno: number;
  /** What was tried, to be read after "cannot": `make the bridge`. */
  readonly operation: string;
  /** On what: `k6t-eth0`. */
  readonly object: string;
  /** The kernel's own explanation, where it gave one (netlink's extended acks). */
  readonly said?: string | undefined;
  readonly hint?: string | undefined;
}

export class KernelError extends PodtapError {
  readonly errno: number;

  constructor(facts: KernelFacts) {
    const hint = facts.hint ?? usualCauses[facts.errno];
    super({
      code: `PT-KERNEL-${facts.errno}`,
      message: kernelMessage(facts),
      ...(hint !== undefined && { hint }),
      retry: retries[facts.errno] ?? "never",
      blame: "host",
    });
    this.name = "KernelError";
    this.errno = facts.errno;
  }
}

/** `EEXIST` for 17; the number where it has no name here. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** The errno of anything thrown by a driver or by node:fs; undefined for what came from elsewhere. */
export function errnoOf(thrown: unknown): number | undefined {
  if (thrown instanceof KernelError) return thrown.errno;
  // libuv numbers are negative errnos.
  const { errno } = (thrown ?? {}) as { errno?: unknown };
  return thrown instanceof Error && typeof errno === "number" ? Math.abs(errno) : undefined;
}

/** Runs a node:fs call and tells its failure as a KernelError; what has no errno passes unchanged. */
export function inKernelWords<T>(operation: string, object: string, run: () => T, hint?: string): T {
  try {
    return run();
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === undefined || thrown instanceof KernelError) throw thrown;
    throw new KernelError({ errno, operation, object, hint });
  }
}

function kernelMessage({ errno, operation, object, said }: KernelFacts): string {
  words ??= getSystemErrorMap();
  const kernelWords = words.get(-errno)?.[1] ?? "unknown error";
  const explanation = said === undefined || said === "" ? "" : `: ${said}`;
  return `cannot ${operation} ${object}: ${kernelWords} (${errnoName(errno)})${explanation}`;
}

/** Made on first use: most runs end without an error. */
let words: ReturnType<typeof getSystemErrorMap> | undefined;

const names: ReadonlyMap<number, string> = new Map(
  // Of two names of one number the first is the one in use: EAGAIN before EWOULDBLOCK.
  Object.entries(constants.errno)
    .toReversed()
    .filter(([name]) => name !== "EWOULDBLOCK" && name !== "ENOTSUP")
    .map(([name, errno]) => [errno, name]),
);

const usualCauses: Readonly<Record<number, string>> = {
  [EPERM]: "this needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN: run the podtap node daemon as root",
  [ENOENT]: "the file, table or kernel feature is not there; `podtap doctor` lists what this kernel has",
  [EACCES]:
    "for an IPv6 address: IPv6 is switched off on that link (sysctl net.ipv6.conf.<link>.disable_ipv6)",
  [EBUSY]: "somebody holds it: a tap may be open in a running QEMU; stop that VM and try again",
  [EEXIST]: "something of that name is there already and is not podtap's; see `ip link` in that namespace",
  [ENODEV]: "no link of that name in this namespace; did the CNI plugin of the network succeed?",
  [EOPNOTSUPP]: "this kernel was built without the feature; `podtap doctor` lists what this kernel has",
  [ENOBUFS]: "too many changes at once for a socket's buffer; the operation may be tried again",
};

const retries: Readonly<Record<number, Retry>> = {
  [EBUSY]: "soon",
  [EAGAIN]: "soon",
  [EINTR]: "soon",
  [ENOBUFS]: "soon",
  [ENOMEM]: "soon",
  [ENODEV]: "soon",
  [ETIMEDOUT]: "soon",
  [ECONNREFUSED]: "soon",
  [ENETUNREACH]: "soon",
  [EHOSTUNREACH]: "soon",
  [EADDRINUSE]: "soon",
};
