/**
 * The network of an ordinary user: the host's own, looked at and never changed. What a pod NIC is elsewhere, is here
 * the host's link to the world.
 */
import { readFileSync } from "node:fs";
import { PodtapError } from "../../base/errors.ts";
import { cidrIp, type Ip, isGlobalUnicast } from "../../base/ip.ts";
import { PRIMARY_POD_INTERFACE } from "../../base/names.ts";
import { defaultRoutes } from "../../cluster/local/cni/default-network.ts";
import { hostResolver } from "../../cluster/local/pods/resolver.ts";
import { readLinks } from "../../linux/links.ts";
import { readRoutes } from "../../linux/routes.ts";
import { openRtnetlink } from "../../linux/rtnetlink.ts";
import { readSysctl } from "../../linux/sysctl.ts";
import type { Resolver, RootlessFacts } from "../../plan/binding.ts";
import {
  NOTHING_OBSERVED,
  type Observed,
  type ObservedLink,
  type ObservedRoute,
} from "../../plan/observed.ts";

const LOOPBACK = "127.0.0.1" as string as Ip;
const SYSTEMD_RESOLVED = "/run/systemd/resolve/resolv.conf";
/** The kernel's, where it does not say. */
const FIRST_PORT = "1024";

export interface RootlessNetwork {
  readonly facts: RootlessFacts;
  /** The uplink as a pod's NIC, under its name. */
  readonly observed: Observed;
  readonly resolver: Resolver;
  readonly notes: readonly string[];
}

/** @throws PT-ROOTLESS-2 when this host has no network to share */
export function readRootlessNetwork(): RootlessNetwork {
  const rtnetlink = openRtnetlink();
  try {
    const links = readLinks(rtnetlink);
    const routes = readRoutes(rtnetlink, links);
    const uplink = uplinkOf(links, routes);
    const name = PRIMARY_POD_INTERFACE;
    return {
      facts: {
        link: uplink.name,
        listen: LOOPBACK,
        firstPort: Number(readSysctl("net/ipv4/ip_unprivileged_port_start") ?? FIRST_PORT),
      },
      observed: {
        ...NOTHING_OBSERVED,
        links: [{ ...uplink, name }],
        routes: routes.filter(({ link }) => link === uplink.name).map((route) => ({ ...route, link: name })),
      },
      resolver: hostResolver(readText("/etc/resolv.conf") ?? "", readText(SYSTEMD_RESOLVED)),
      notes: echoNotes(readSysctl("net/ipv4/ping_group_range"), process.getgroups?.() ?? []),
    };
  } finally {
    rtnetlink.close();
  }
}

/** Where the default route leads, the preferred one; else any link with an address that others can answer. */
export function uplinkOf(links: readonly ObservedLink[], routes: readonly ObservedRoute[]): ObservedLink {
  const preferred = defaultRoutes(routes)
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .map(({ link }) => link);
  const usable = links.filter(({ up, name, addresses }) => {
    return up && name !== "lo" && addresses.some((one) => isGlobalUnicast(cidrIp(one)));
  });
  const found = preferred.flatMap((name) => usable.filter((link) => link.name === name))[0] ?? usable[0];
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-ROOTLESS-2",
    message: "no link of this host has an address that a guest could share",
    hint: "without root a guest has the host's own network: connect the host, then try again",
    retry: "on-change",
    blame: "host",
  });
}

/** Echo sockets are for the groups of a range, and an empty one is the kernel's default (ping_group_range). */
export function echoNotes(range: string | null, groups: readonly number[]): readonly string[] {
  const [first = 1, last = 0] = (range ?? "1 0").split(/\s+/).map(Number);
  if (groups.some((group) => first <= group && group <= last)) return [];
  return [
    "the guest's pings are not answered: this host's net.ipv4.ping_group_range leaves its user out; root allows it by `sysctl -w net.ipv4.ping_group_range='0 2147483647'`",
  ];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
