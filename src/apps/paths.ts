/** Where podtap keeps things on a host. Tests and second instances move both roots. */
import { join } from "node:path";

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

export function pathsFrom(environment: Readonly<Record<string, string | undefined>>): Paths {
  const state = environment["PODTAP_STATE_DIR"] ?? "/var/lib/podtap";
  const run = environment["PODTAP_RUN_DIR"] ?? "/run/podtap";
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
