/**
 * Other people's firewalls on the host: whether they drop what pods send, and letting it through.
 *
 * Docker and ufw set the policy of iptables' FORWARD to drop, firewalld and many hand-written rulesets end their own
 * chain with a reject; and no accept in another table saves a packet. So podtap does what libvirt does: where the
 * owner of the rules has a place for users' rules, two rules go there, marked, and are taken away after the last
 * pod. Where there is none, nothing is touched and the rule that kills is named with the command that allows it.
 *
 * The rules let pods out, and answers and translated Services in: they open nothing that was not asked for.
 */
import { messageOf } from "../../../base/errors.ts";
import { foreignDrops, type Killer, type ProbePacket } from "../../../nft/foreign-verdict.ts";

export interface FirewallPort {
  /** Parsed JSON of `list ruleset` of the host's namespace. */
  ruleset(): Promise<unknown>;
  /** Runs a program to its end; code -1 where there is none. */
  run(program: string, args: readonly string[]): Promise<{ readonly code: number; readonly said: string }>;
}

export interface FirewallState {
  /** What was done, for people; empty when nothing was needed. */
  readonly adapted: readonly string[];
  /** What drops our packets all the same: which rule, whose, and what to type. */
  readonly obstacles: readonly Obstacle[];
}

export interface Obstacle {
  readonly message: string;
  readonly hint: string;
}

/** Names of tables that are podtap's own. */
const OWN = "podtap";
const MARK = ["-m", "comment", "--comment", "podtap"];
const IPTABLES = { ip: "iptables", ip6: "ip6tables" } as const;
/** Seconds to wait for xtables' lock, which Docker may hold. */
const WAIT = ["-w", "5"];

export interface FirewallWish {
  /** podtap's own pod bridge. */
  readonly bridge: string;
  /** Where the host's default route goes. */
  readonly uplink: string;
  /** May rules be added? Otherwise it is only told what drops. */
  readonly adapt: boolean;
}

/** Idempotent. */
export async function letPodsThrough(
  port: FirewallPort,
  { bridge, uplink, adapt }: FirewallWish,
): Promise<FirewallState> {
  const before = await killers(port, bridge, uplink);
  if (before.length === 0) return { adapted: [], obstacles: [] };
  if (!adapt) return { adapted: [], obstacles: obstaclesOf(before, bridge) };
  const adapted: string[] = [];
  for (const family of ["ip", "ip6"] as const) {
    if (before.some((killer) => isIptables(killer) && killer.family === family)) {
      adapted.push(...(await allowByIptables(port, family, bridge)));
    }
  }
  if (before.some(isFirewalld)) adapted.push(...(await allowByFirewalld(port, bridge)));
  const left = adapted.length === 0 ? before : await killers(port, bridge, uplink);
  return { adapted, obstacles: obstaclesOf(left, bridge) };
}

/** Takes our rules away again. What is not there is no error. */
export async function withdraw(port: FirewallPort, bridge: string): Promise<void> {
  for (const program of Object.values(IPTABLES)) {
    for (const chain of ["DOCKER-USER", "FORWARD"]) {
      for (const rule of rulesFor(bridge)) await deleteAll(port, program, chain, rule);
    }
  }
  await port.run("firewall-cmd", ["--quiet", "--zone=trusted", `--remove-interface=${bridge}`]);
}

/**
 * What would be dropped: pods' first packets outwards, and the answers. Of answers only what is certain, for most
 * rulesets let them in by a match of conntrack, which cannot be read.
 */
async function killers(port: FirewallPort, bridge: string, uplink: string): Promise<readonly Killer[]> {
  const listing = await port.ruleset();
  const found = (["ip", "ip6"] as const).flatMap((family) => {
    const first: ProbePacket = { family, iifname: bridge, oifname: uplink, established: false };
    const answer: ProbePacket = { family, iifname: uplink, oifname: bridge, established: true };
    return [
      ...foreignDrops(listing, first, OWN),
      ...foreignDrops(listing, answer, OWN).filter(({ certain }) => certain),
    ];
  });
  const seen = new Set<string>();
  return found.filter((killer) => {
    const key = JSON.stringify(killer);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

function rulesFor(bridge: string): readonly (readonly string[])[] {
  return [
    ["-i", bridge, ...MARK, "-j", "ACCEPT"],
    ["-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT", ...MARK, "-j", "ACCEPT"],
  ];
}

async function allowByIptables(
  port: FirewallPort,
  family: "ip" | "ip6",
  bridge: string,
): Promise<readonly string[]> {
  const program = IPTABLES[family];
  // Docker keeps this chain for its users' rules and never empties it.
  const docker = (await port.run(program, [...WAIT, "-n", "-L", "DOCKER-USER"])).code === 0;
  const chain = docker ? "DOCKER-USER" : "FORWARD";
  const added: string[] = [];
  for (const rule of rulesFor(bridge)) {
    if ((await port.run(program, [...WAIT, "-C", chain, ...rule])).code === 0) continue;
    const { code, said } = await port.run(program, [...WAIT, "-I", chain, ...rule]);
    if (code !== 0) return [...added, `${program} would not take a rule into ${chain}: ${said}`];
    added.push(`${program} -I ${chain} ${rule.join(" ")}`);
  }
  return added;
}

async function allowByFirewalld(port: FirewallPort, bridge: string): Promise<readonly string[]> {
  const args = ["--zone=trusted", `--add-interface=${bridge}`];
  const { code } = await port.run("firewall-cmd", args);
  return code === 0 ? [`firewall-cmd ${args.join(" ")}`] : [];
}

async function deleteAll(
  port: FirewallPort,
  program: string,
  chain: string,
  rule: readonly string[],
): Promise<void> {
  // A reload of the firewall may have doubled it; each deletion takes one.
  for (let i = 0; i < 8; i++) {
    if ((await port.run(program, [...WAIT, "-D", chain, ...rule])).code !== 0) return;
  }
}

function obstaclesOf(killers: readonly Killer[], bridge: string): readonly Obstacle[] {
  return killers.filter(({ certain }) => certain).map((killer) => obstacleOf(killer, bridge));
}

function obstacleOf(killer: Killer, bridge: string): Obstacle {
  const { family, table, chain, rule } = killer;
  const what =
    rule === undefined
      ? `the policy of chain ${chain} of table ${family} ${table} is drop`
      : `rule ${rule.handle} of chain ${rule.chain} of table ${family} ${table} drops it`;
  const owner = isFirewalld(killer)
    ? " (firewalld's)"
    : isIptables(killer)
      ? " (iptables', so Docker's or ufw's)"
      : "";
  return {
    message: `what pods send does not leave the host: ${what}${owner}`,
    hint: isFirewalld(killer)
      ? `firewall-cmd --zone=trusted --add-interface=${bridge}`
      : isIptables(killer)
        ? `${IPTABLES[family as "ip" | "ip6"]} -I ${chain} -i ${bridge} -j ACCEPT`
        : `nft insert rule ${family} ${table} ${chain} iifname "${bridge}" accept; nft insert rule ${family} ${table} ${chain} oifname "${bridge}" ct state established,related accept`,
  };
}

/** iptables-nft keeps its rules under the names that iptables has. */
function isIptables({ family, table, chain }: Killer): boolean {
  return (family === "ip" || family === "ip6") && table === "filter" && chain === "FORWARD";
}

function isFirewalld({ table }: Killer): boolean {
  return table === "firewalld";
}

/** For the log of a daemon that must go on: a firewall that cannot be read is no reason to stop. */
export function unreadable(thrown: unknown): FirewallState {
  const message = `the host's firewall could not be looked at: ${messageOf(thrown)}`;
  return { adapted: [], obstacles: [{ message, hint: "nft list ruleset" }] };
}
