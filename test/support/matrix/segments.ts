/**
 * The networks that the pods of a matrix stand on: for each stack and MTU one with addresses by CNI's IPAM and one
 * without, where a DHCP server and router of the segment's own gives them out. All on the host of the test's own:
 *
 *   pods, by the bridge plugin ──┐
 *                                mx<n> (host) 10.99.<n>.1, fd99:<n>::1: DNS, and DHCP and router advertisements
 *   neighbour eth0 .250 ─────────┘        where CNI gives no addresses
 */
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ip } from "../../../src/base/ip.ts";
import type { CniNetwork } from "../../../src/cluster/local/cni/conflist.ts";
import { defaultNetwork } from "../../../src/cluster/local/cni/default-network.ts";
import { eventually, type TestPod, testPod } from "../netns.ts";
import { listen } from "./sockets.ts";

export type Family = "v4" | "v6";
export type Stack = Family | "dual";

export interface SegmentKind {
  readonly stack: Stack;
  readonly mtu: number;
  /** Who gives a guest its addresses: CNI's IPAM (and podtap hands them on), or the segment's own server. */
  readonly addressing: "ipam" | "dhcp";
}

export interface Segment extends SegmentKind {
  readonly network: CniNetwork;
  readonly bridge: string;
  readonly families: readonly Family[];
  /** The host on the segment: router and nameserver. */
  readonly router: Readonly<Record<Family, Ip>>;
  readonly neighbour: TestPod;
  readonly neighbourIp: Readonly<Record<Family, Ip>>;
}

/** What the host's nameserver says. */
export const KNOWN_NAME = { name: "matrix.example", ip: "192.0.2.53" } as const;
/** The neighbour's server of `sockets.ts`, for TCP and UDP. */
export const NEIGHBOUR_PORT = 8080;
/** The host's namespace, which is this process's own. */
export const HOST_NETNS = "/proc/thread-self/ns/net";

type Scope = { after(fn: () => unknown): void };

/** @param folder for leases */
export async function makeSegments(
  t: Scope,
  kinds: readonly SegmentKind[],
  folder: string,
): Promise<readonly Segment[]> {
  execFileSync("sysctl", ["-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.forwarding=1"]);
  const segments = kinds.map((kind, i) => makeSegment(t, kind, i + 1, folder));
  await startServer(t, segments, folder);
  return segments;
}

function makeSegment(t: Scope, kind: SegmentKind, number: number, folder: string): Segment {
  const bridge = `mx${number}`;
  const families: readonly Family[] = kind.stack === "dual" ? ["v4", "v6"] : [kind.stack];
  const at = (last: number): Segment["router"] => ({
    v4: `10.99.${number}.${last}` as Ip,
    v6: `fd99:${number}::${last}` as Ip,
  });
  const router = at(1);
  const neighbourIp = at(250);
  const neighbour = testPod(t as Parameters<typeof testPod>[0], `mx${number}`);
  const assign = (ips: Segment["router"], link: string): readonly string[] =>
    families.map(
      (family) =>
        `address add ${ips[family]}/${PREFIX[family]} dev ${link}${family === "v6" ? " nodad" : ""}`,
    );
  const size = `mtu ${kind.mtu}`;
  batch(
    [],
    [
      `link add ${bridge} address 0a:58:0a:63:${number.toString(16).padStart(2, "0")}:01 ${size} type bridge mcast_snooping 0`,
      ...assign(router, bridge),
      `link set ${bridge} up`,
      `link add ${bridge}n ${size} type veth peer name eth0 ${size} netns ${neighbour.name}`,
      `link set ${bridge}n master ${bridge} up`,
    ],
  );
  batch(["-n", neighbour.name], [...assign(neighbourIp, "eth0"), "link set eth0 up"]);
  for (const protocol of ["tcp", "udp"] as const)
    t.after(listen(neighbour.path, "neighbour", protocol, NEIGHBOUR_PORT));
  const network = networkOn(bridge, kind, router, families, folder);
  return { ...kind, network, bridge, families, router, neighbour, neighbourIp };
}

const PREFIX = { v4: 24, v6: 64 } as const;

/** podtap's own pod network (cluster/local/cni/default-network.ts), of these families. */
function networkOn(
  bridge: string,
  { mtu, addressing }: SegmentKind,
  router: Segment["router"],
  families: readonly Family[],
  folder: string,
): CniNetwork {
  const subnet = (family: Family) => `${router[family].replace(/1$/, "0")}/${PREFIX[family]}`;
  const leaseDir = join(folder, "leases");
  const base = defaultNetwork({ ranges: { v4: subnet("v4") as never }, mtu, hairpin: false, leaseDir });
  const [plugin] = base.plugins;
  const ipam = {
    type: "host-local",
    dataDir: leaseDir,
    ranges: families.map((family) => [
      { subnet: subnet(family).replace("::0/", "::/"), gateway: router[family] },
    ]),
    routes: families.map((family) => ({ dst: family === "v6" ? "::/0" : "0.0.0.0/0" })),
  };
  const own = addressing === "ipam" ? { ipam } : { ipam: {}, isGateway: false };
  return { ...base, name: bridge, plugins: [{ ...plugin, type: "bridge", bridge, ...own }] };
}

/** One dnsmasq for all of them: DNS everywhere, DHCP and router advertisements where CNI has no IPAM. */
async function startServer(t: Scope, segments: readonly Segment[], folder: string): Promise<void> {
  const served = segments.filter(({ addressing }) => addressing === "dhcp");
  const lines = [
    "no-resolv",
    "no-hosts",
    "no-ping",
    "user=root",
    "pid-file",
    `dhcp-leasefile=${folder}/dnsmasq.leases`,
    `host-record=${KNOWN_NAME.name},${KNOWN_NAME.ip}`,
    "bind-dynamic",
    ...(served.length > 0 ? ["enable-ra", "dhcp-authoritative"] : []),
    ...served.flatMap(serverLines),
  ];
  const conf = join(folder, "dnsmasq.conf");
  writeFileSync(conf, `${lines.join("\n")}\n`);
  const server = spawn("dnsmasq", ["--keep-in-foreground", `--conf-file=${conf}`, "--log-facility=-"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  server.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  t.after(() => server.kill("SIGKILL"));
  await eventually("dnsmasq serves", () => {
    if (server.exitCode !== null) throw new Error(said);
    return said.includes("started") || undefined;
  });
}

function serverLines({ bridge, mtu, families, router }: Segment): readonly string[] {
  const between = (family: Family): string =>
    [100, 200].map((last) => router[family].replace(/1$/, String(last))).join(",");
  return [
    ...(families.includes("v4")
      ? [
          `dhcp-range=set:${bridge},${between("v4")},255.255.255.0,1h`,
          `dhcp-option=tag:${bridge},option:router,${router.v4}`,
          `dhcp-option=tag:${bridge},option:dns-server,${router.v4}`,
          `dhcp-option=tag:${bridge},option:mtu,${mtu}`,
        ]
      : []),
    ...(families.includes("v6")
      ? [
          `dhcp-range=set:${bridge},${between("v6")},64,1h`,
          `dhcp-option=tag:${bridge},option6:dns-server,[${router.v6}]`,
        ]
      : []),
  ];
}

function batch(options: readonly string[], lines: readonly string[]): void {
  execFileSync("ip", [...options, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}
