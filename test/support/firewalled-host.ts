/**
 * A host whose firewall is to be tried, between a pod and the world. The host is the test's own namespace
 * (`onPrivateHost`), and what reaches whom is asked by TCP: firewalls let pings through more than anything else.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { legacyTables } from "../../src/apps/node/firewall-port.ts";
import type { FirewallPort } from "../../src/cluster/local/cni/host-firewall.ts";
import { eventually, type TestPod, testPod } from "./netns.ts";

export const BRIDGE = "podtap0";
export const WISH = { bridge: BRIDGE, uplink: "wan0", adapt: true } as const;

export const POD = { v4: "10.77.0.2", v6: "fd77::2" };
export const WORLD = { v4: "10.78.0.2", v6: "fd78::2" };
const HOST = { inside: ["10.77.0.1", "fd77::1"], outside: ["10.78.0.1", "fd78::1"] } as const;

/** Counts what it runs: where nothing is to be done, nothing is. */
export interface CountedPort extends FirewallPort {
  readonly ran: string[];
}

export function hostPort(): CountedPort {
  const ran: string[] = [];
  let ours = false;
  return {
    ran,
    ruleset: async () => JSON.parse(execFileSync("nft", ["-j", "list", "ruleset"], { encoding: "utf8" })),
    legacy: () => legacyTables("/proc/net"),
    run: async (program, args) => {
      ran.push([program, ...args].join(" "));
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
      return { code: status ?? -1, printed: stdout ?? "", said: stderr ?? "" };
    },
    zoneNote: {
      get: () => ours,
      set: (value) => {
        ours = value;
      },
    },
  };
}

/** pod 10.77.0.2, fd77::2 ─ podtap0 …::1 (this namespace) wan0 …::1 ─ world 10.78.0.2, fd78::2 */
export function twoStations(t: TestContext): { readonly pod: TestPod; readonly world: TestPod } {
  execFileSync("nft", ["flush", "ruleset"]);
  const pod = testPod(t, "fw-pod");
  const world = testPod(t, "fw-world");
  const run = (line: string): void => void execFileSync("ip", line.split(" "));
  run(`link add ${BRIDGE} type bridge`);
  // A namespace takes its ends along some time after it is deleted; the next test wants the names at once.
  t.after(() => {
    for (const link of ["wan0", "vp"]) spawnSync("ip", ["link", "delete", link]);
    run(`link delete ${BRIDGE}`);
  });
  run(`link add wan0 type veth peer name eth0 netns ${world.name}`);
  run(`link add vp type veth peer name eth0 netns ${pod.name}`);
  run(`link set vp master ${BRIDGE} up`);
  address(BRIDGE, HOST.inside);
  address("wan0", HOST.outside);
  for (const [station, { v4, v6 }, gateways] of [
    [pod, POD, HOST.inside],
    [world, WORLD, HOST.outside],
  ] as const) {
    address("eth0", [v4, v6], station.name);
    for (const gateway of gateways) station.run("ip", "route", "add", "default", "via", gateway);
    const listener = spawn(
      "ip",
      ["netns", "exec", station.name, "socat", "TCP6-LISTEN:80,fork", "/dev/null"],
      {
        stdio: "ignore",
      },
    );
    t.after(() => listener.kill());
  }
  forward(true);
  return { pod, world };
}

function address(link: string, [v4, v6]: readonly [string, string], netns?: string): void {
  const ip = (...args: readonly string[]): void =>
    void execFileSync("ip", [...(netns === undefined ? [] : ["-n", netns]), ...args]);
  ip("address", "add", `${v4}/24`, "dev", link);
  ip("address", "add", `${v6}/64`, "dev", link, "nodad");
  ip("link", "set", link, "up");
}

export function forward(on: boolean): void {
  const value = on ? "1" : "0";
  execFileSync("sysctl", ["-qw", `net.ipv4.ip_forward=${value}`, `net.ipv6.conf.all.forwarding=${value}`]);
}

/** Seconds of an attempt: what is dropped is not answered. */
const ATTEMPT = 0.5 * Number(process.env["PODTAP_TEST_PATIENCE"] ?? 1);

/** One attempt. */
export function reaches(from: TestPod, host: string, port = 80): boolean {
  const probe = `exec 3<>/dev/tcp/${host}/${port}`;
  const { status } = spawnSync(
    "ip",
    ["netns", "exec", from.name, "timeout", String(ATTEMPT), "bash", "-c", probe],
    {
      stdio: "ignore",
    },
  );
  return status === 0;
}

/** Within some seconds. */
export async function reached(from: TestPod, host: string, port = 80): Promise<void> {
  await eventually(`${host} port ${port} reached`, () => reaches(from, host, port) || undefined);
}

interface Entry {
  readonly chain?: {
    readonly family: string;
    readonly table: string;
    readonly name: string;
    readonly hook?: string;
    readonly policy?: string;
  };
  readonly rule?: {
    readonly family: string;
    readonly table: string;
    readonly chain: string;
    readonly expr: readonly object[];
  };
}

/**
 * What the ruleset does to packets, a line a chain that they meet and a line a rule; counters and the order in which
 * chains were made are not in it, nor chains that nothing leads to, as firewalld keeps of a zone that is not in use.
 */
export function rulesInForce(): readonly string[] {
  const text = execFileSync("nft", ["-j", "-s", "list", "ruleset"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const entries = (JSON.parse(text) as { readonly nftables: readonly Entry[] }).nftables;
  const rules = entries.flatMap(({ rule }) => rule ?? []);
  const lines = new Map<string, readonly string[]>();
  const visit = (family: string, table: string, name: string, head: string): void => {
    const key = `${family} ${table} ${name}`;
    if (lines.has(key)) return;
    const own = rules.filter((rule) => rule.family === family && rule.table === table && rule.chain === name);
    lines.set(key, [`${key}${head}`, ...own.map(({ expr }) => `  ${JSON.stringify(expr)}`)]);
    for (const statement of own.flatMap(({ expr }) => expr)) {
      const { jump, goto } = statement as Record<"jump" | "goto", { readonly target: string } | undefined>;
      const target = (jump ?? goto)?.target;
      if (target !== undefined) visit(family, table, target, "");
    }
  };
  for (const { chain } of entries) {
    if (chain?.hook === undefined) continue;
    visit(chain.family, chain.table, chain.name, ` at ${chain.hook}, policy ${chain.policy}`);
  }
  return [...lines.values()].sort().flat();
}
