/** Where podtap keeps things on a host. Tests and second instances move both roots. */
import { lstatSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { PodtapError } from "../base/errors.ts";

export interface Paths {
  /** Survives a reboot: objects, images, disks of VMs. Default /var/lib/podtap. */
  readonly state: string;
  /** Gone after a reboot: sockets, namespaces, pids. Default /run/podtap; short, because of Unix socket limits. */
  readonly run: string;
  readonly socket: string;
  readonly store: string;
  readonly images: string;
  /** OCI layouts that images are looked for in before any registry is asked. */
  readonly layouts: string;
  /** Warm cache of QEMU's capabilities for libvirt. */
  readonly libvirtCache: string;
  /** Bind-mounted network namespaces, one a pod. */
  readonly netns: string;
  podRun(podId: string): string;
  podState(podId: string): string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function pathsFrom(environment: Environment): Paths {
  return pathsBelow(environment, "/var/lib/podtap", "/run/podtap");
}

/**
 * An ordinary user's, by the XDG base directory specification. Without a run directory of the user's own it is one in
 * /tmp: that name is anybody's to take, so one that is not private to the user is refused.
 * @throws PT-ROOTLESS-7
 */
export function rootlessPaths(environment: Environment, uid: number): Paths {
  const state = absolute(environment["XDG_STATE_HOME"]) ?? join(homedir(), ".local", "state");
  const own = absolute(environment["XDG_RUNTIME_DIR"]);
  const run = own === undefined ? `/tmp/podtap-${uid}` : join(own, "podtap");
  const paths = pathsBelow(environment, join(state, "podtap"), run);
  const there = lstatSync(paths.run, { throwIfNoEntry: false });
  const isPrivate = there?.isDirectory() === true && there.uid === uid && (there.mode & 0o077) === 0;
  if (there !== undefined && !isPrivate) {
    throw new PodtapError({
      code: "PT-ROOTLESS-7",
      message: `${paths.run} is not a folder of this user's alone, so nothing in it can be trusted`,
      hint: "have it removed, or name another one by PODTAP_RUN_DIR; `chmod 700` if it is yours",
      blame: "host",
    });
  }
  return paths;
}

/** Relative ones are to be passed over (the specification's words). */
function absolute(path: string | undefined): string | undefined {
  return path?.startsWith("/") ? path : undefined;
}

function pathsBelow(environment: Environment, stateDefault: string, runDefault: string): Paths {
  const state = environment["PODTAP_STATE_DIR"] ?? stateDefault;
  const run = environment["PODTAP_RUN_DIR"] ?? runDefault;
  return {
    state,
    run,
    socket: environment["PODTAP_SOCKET"] ?? join(run, "podtap.sock"),
    store: join(state, "store.sqlite"),
    images: join(state, "images"),
    layouts: join(state, "layouts"),
    libvirtCache: join(state, "cache", "libvirt"),
    netns: join(run, "netns"),
    podRun: (podId) => join(run, "p", podId),
    podState: (podId) => join(state, "pods", podId),
  };
}
