/**
 * Other people's firewalls on the host: whether they drop what pods send, and letting it through.
 *
 * Docker and ufw set the policy of iptables' FORWARD to drop, firewalld and many hand-written rulesets end their own
 * chain with a reject; and no accept in another table saves a packet. So podtap does what libvirt does: where the
 * owner of the rules has a place for users' rules, two rules go there, marked, and are taken away after the last
 * pod. Where there is none, nothing is touched and the rule that kills is named with the command that allows it.
 *
 * The rules let pods out, and answers and translated Services in: they open nothing that was not asked for. firewalld's
 * zone opens the host to the bridge as well, which podtap's own tables keep shut.
 */
import { messageOf } from "../../../base/errors.ts";
import { foreignDrops, type Killer } from "../../../nft/foreign-verdict.ts";
import type { ProbePacket } from "../../../nft/foreign-verdict-rule.ts";
import { hasChain, hintFor, isFirewalld, isIptables, markedRules } from "./host-firewall-rules.ts";

export interface FirewallPort {
  /** Parsed JSON of `list ruleset` of the host's namespace. */
  ruleset(): Promise<unknown>;
  /** Runs a program to its end; code -1 where there is none. */
  run(program: string, args: readonly string[]): Promise<{ readonly code: number; readonly said: string }>;
  /** Is the bridge in a zone of firewalld because podtap put it there? A zone has no place for a mark. Kept on disk. */
  readonly zoneNote: { get(): boolean; set(ours: boolean): void };
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
const FAMILIES = ["ip", "ip6"] as const;
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

/** Idempotent; where nothing is in the way, no program is run. */
export async function letPodsThrough(
  port: FirewallPort,
  { bridge, uplink, adapt }: FirewallWish,
): Promise<FirewallState> {
  const before = await look(port, bridge, uplink);
  if (before.killers.length === 0) return { adapted: [], obstacles: [] };
  if (!adapt) return { adapted: [], obstacles: obstaclesOf(before, bridge) };
  const adapted: string[] = [];
  const refused: Obstacle[] = [];
  for (const family of FAMILIES) {
    if (!killedByIptables(before, family)) continue;
    const { added, refusal } = await allowByIptables(port, before.listing, family, bridge);
    adapted.push(...added);
    if (refusal !== undefined) refused.push(refusal);
  }
  if (before.killers.some(isFirewalld)) adapted.push(...(await allowByFirewalld(port, bridge)));
  const after = adapted.length === 0 ? before : await look(port, bridge, uplink);
  return { adapted, obstacles: [...refused, ...obstaclesOf(after, bridge)] };
}

/**
 * Takes our rules away again, whatever the configuration says by then. Only what is there: no program is run for
 * nothing.
 */
export async function withdraw(port: FirewallPort, bridge: string): Promise<void> {
  const listing = await port.ruleset();
  for (const family of FAMILIES) {
    for (const chain of ["DOCKER-USER", "FORWARD"]) {
      for (const [direction, rule] of Object.entries(rulesFor(bridge))) {
        const times = markedRules(listing, { family, chain, key: direction, bridge });
        await deleteRules(port, IPTABLES[family], chain, rule, times);
      }
    }
  }
  if (!port.zoneNote.get()) return;
  // It may have forgotten the bridge by a reload, or be gone.
  if (JSON.stringify(listing).includes(`"${bridge}"`)) {
    await port.run("firewall-cmd", ["--quiet", "--zone=trusted", `--remove-interface=${bridge}`]);
  }
  port.zoneNote.set(false);
}

interface Sight {
  readonly listing: unknown;
  readonly killers: readonly Killer[];
}

/**
 * What would be dropped: pods' first packets outwards, and the answers. Of answers only what is certain, for most
 * rulesets let them in by a match of conntrack, which cannot be read.
 */
async function look(port: FirewallPort, bridge: string, uplink: string): Promise<Sight> {
  const listing = await port.ruleset();
  const found = FAMILIES.flatMap((family) => {
    const first: ProbePacket = { family, iifname: bridge, oifname: uplink, established: false };
    const answer: ProbePacket = { family, iifname: uplink, oifname: bridge, established: true };
    return [
      ...foreignDrops(listing, first, OWN),
      ...foreignDrops(listing, answer, OWN).filter(({ certain }) => certain),
    ];
  });
  // Once each, the certain word before the uncertain one.
  const place = ({ certain: _, ...rest }: Killer): string => JSON.stringify(rest);
  const killers = new Map<string, Killer>();
  for (const killer of found.sort((a, b) => Number(b.certain) - Number(a.certain))) {
    if (!killers.has(place(killer))) killers.set(place(killer), killer);
  }
  return { listing, killers: [...killers.values()] };
}

/** By the key of the match that names the bridge. */
function rulesFor(bridge: string): Readonly<Record<"iifname" | "oifname", readonly string[]>> {
  return {
    iifname: ["-i", bridge, ...MARK, "-j", "ACCEPT"],
    oifname: [
      "-o",
      bridge,
      "-m",
      "conntrack",
      "--ctstate",
      "RELATED,ESTABLISHED,DNAT",
      ...MARK,
      "-j",
      "ACCEPT",
    ],
  };
}

async function allowByIptables(
  port: FirewallPort,
  listing: unknown,
  family: "ip" | "ip6",
  bridge: string,
): Promise<{ readonly added: readonly string[]; readonly refusal?: Obstacle }> {
  const program = IPTABLES[family];
  // Docker keeps this chain for its users' rules and never empties it.
  const chain = hasChain(listing, family, "DOCKER-USER") ? "DOCKER-USER" : "FORWARD";
  const added: string[] = [];
  for (const rule of Object.values(rulesFor(bridge))) {
    if ((await port.run(program, [...WAIT, "-C", chain, ...rule])).code === 0) continue;
    const hint = `${program} -I ${chain} ${rule.join(" ")}`;
    const { code, said } = await port.run(program, [...WAIT, "-I", chain, ...rule]);
    if (code !== 0) {
      const message = `${program} would not take a rule for pods into ${chain}: ${said || `exit status ${code}`}`;
      return { added, refusal: { message, hint } };
    }
    added.push(hint);
  }
  return { added };
}

async function allowByFirewalld(port: FirewallPort, bridge: string): Promise<readonly string[]> {
  const args = ["--zone=trusted", `--add-interface=${bridge}`];
  port.zoneNote.set(true);
  const { code } = await port.run("firewall-cmd", args);
  return code === 0 ? [`firewall-cmd ${args.join(" ")}`] : [];
}

async function deleteRules(
  port: FirewallPort,
  program: string,
  chain: string,
  rule: readonly string[],
  times: number,
): Promise<void> {
  for (let i = 0; i < times; i++) {
    // Not ours: somebody's rule for the same bridge without the mark.
    if ((await port.run(program, [...WAIT, "-D", chain, ...rule])).code !== 0) return;
  }
}

function obstaclesOf({ listing, killers }: Sight, bridge: string): readonly Obstacle[] {
  return killers.map((killer) => {
    const { family, table, chain, rule, certain } = killer;
    const what =
      rule === undefined
        ? `the policy of chain ${chain} of table ${family} ${table} is drop`
        : `rule ${rule.handle} of chain ${rule.chain} of table ${family} ${table} drops it`;
    const message = certain
      ? `what pods send does not leave the host: ${what}${ownerOf(killer)}`
      : `what pods send may not leave the host: ${what}${ownerOf(killer)}, and whether a rule before it lets pods ` +
        "through cannot be read";
    return { message, hint: hintFor(listing, killer, bridge) };
  });
}

function ownerOf(killer: Killer): string {
  if (isFirewalld(killer)) return " (firewalld's)";
  return isIptables(killer) ? " (iptables', so Docker's or ufw's)" : "";
}

function killedByIptables({ killers }: Sight, family: "ip" | "ip6"): boolean {
  return killers.some((killer) => isIptables(killer) && killer.family === family);
}

/** For the log of a daemon that must go on: a firewall that cannot be read is no reason to stop. */
export function unreadable(thrown: unknown): FirewallState {
  const message = `the host's firewall could not be looked at: ${messageOf(thrown)}`;
  return { adapted: [], obstacles: [{ message, hint: "nft list ruleset" }] };
}
