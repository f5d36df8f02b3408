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
import { type ListedEntry, listIptables } from "../../../nft/iptables-rules.ts";
import {
  entriesOf,
  FILTER_TABLES,
  type FilterTable,
  filterTableOf,
  hasChain,
  hintFor,
  isFirewalld,
  isSameTable,
  markedRules,
  programOf,
  rulesOf,
  withoutTable,
} from "./host-firewall-rules.ts";

export interface FirewallPort {
  /** Parsed JSON of `list ruleset` of the host's namespace. */
  ruleset(): Promise<unknown>;
  /** IP versions for which there is a filter table of iptables-legacy, of which nftables knows nothing. */
  legacy(): readonly ("ip" | "ip6")[];
  /** Runs a program to its end; code -1 where there is none. */
  run(program: string, args: readonly string[]): Promise<Outcome>;
  /** Is the bridge in a zone of firewalld because podtap put it there? A zone has no place for a mark. Kept on disk. */
  readonly zoneNote: { get(): boolean; set(ours: boolean): void };
}

export interface Outcome {
  readonly code: number;
  readonly printed: string;
  /** On standard error. */
  readonly said: string;
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

/** Idempotent; where nothing is in the way, no program is run but iptables-legacy, to list tables of its own. */
export async function letPodsThrough(
  port: FirewallPort,
  { bridge, uplink, adapt }: FirewallWish,
): Promise<FirewallState> {
  const before = await look(port, bridge, uplink);
  if (before.killers.length === 0) return { adapted: [], obstacles: [] };
  if (!adapt) return { adapted: [], obstacles: obstaclesOf(before, bridge) };
  const adapted: string[] = [];
  const refused: Obstacle[] = [];
  for (const table of FILTER_TABLES) {
    const drops = before.killers.some((killer) => killer.chain === "FORWARD" && isSameTable(table, killer));
    if (!drops) continue;
    const { added, refusal } = await allowByIptables(port, before.listing, table, bridge);
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
  const listing = { nftables: [...entriesOf(await port.ruleset()), ...(await listLegacy(port))] };
  for (const table of FILTER_TABLES) {
    for (const chain of ["DOCKER-USER", "FORWARD"]) {
      for (const [key, rule] of Object.entries(rulesFor(bridge))) {
        const times = markedRules(listing, table, { chain, key, bridge });
        await deleteRules(port, programOf(table), chain, rule, times);
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

async function look(port: FirewallPort, bridge: string, uplink: string): Promise<Sight> {
  const listing = { nftables: [...entriesOf(await port.ruleset()), ...(await listLegacy(port))] };
  const sight = judge(listing, bridge, uplink);
  let exact: readonly unknown[] = listing.nftables;
  for (const table of FILTER_TABLES) {
    const unsure = sight.killers.some((killer) => !killer.certain && isSameTable(table, killer));
    if (!unsure || table.table !== "filter") continue;
    const words = await listByIptables(port, table);
    // Another number of rules: this iptables is not the one that made them.
    const same = rulesOf({ nftables: words }, table).length === rulesOf(listing, table).length;
    if (same) exact = [...withoutTable({ nftables: exact }, table), ...words];
  }
  return exact === listing.nftables ? sight : judge({ nftables: exact }, bridge, uplink);
}

async function listLegacy(port: FirewallPort): Promise<readonly unknown[]> {
  const tables = port.legacy().map((family) => ({ family, table: "filter-legacy" }) as const);
  return (await Promise.all(tables.map((table) => listByIptables(port, table)))).flat();
}

async function listByIptables(port: FirewallPort, table: FilterTable): Promise<readonly ListedEntry[]> {
  const { code, printed } = await port.run(programOf(table), [...WAIT, "-S"]);
  return code === 0 ? listIptables(printed, table.family, table.table) : [];
}

/**
 * What would be dropped: pods' first packets outwards, and the answers. Of answers only what is certain, for most
 * rulesets let them in by a match of conntrack, which nft does not list.
 */
function judge(listing: unknown, bridge: string, uplink: string): Sight {
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
  table: FilterTable,
  bridge: string,
): Promise<{ readonly added: readonly string[]; readonly refusal?: Obstacle }> {
  const program = programOf(table);
  // Docker keeps this chain for its users' rules and never empties it.
  const chain = hasChain(listing, table, "DOCKER-USER") ? "DOCKER-USER" : "FORWARD";
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
    const { family, chain, rule, certain } = killer;
    const table = filterTableOf(killer) === undefined ? killer.table : "filter";
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
  const filter = filterTableOf(killer);
  if (filter === undefined) return "";
  const whose = filter.table === "filter" ? "iptables'" : "iptables-legacy's";
  return ` (${whose}, so Docker's or ufw's)`;
}

/** For the log of a daemon that must go on: a firewall that cannot be read is no reason to stop. */
export function unreadable(thrown: unknown): FirewallState {
  const message = `the host's firewall could not be looked at: ${messageOf(thrown)}`;
  return { adapted: [], obstacles: [{ message, hint: "nft list ruleset" }] };
}
