/**
 * podtap's tables in the calling thread's namespace: put in place, removed, listed as digests, counted. Tables
 * whose name lacks podtap's prefix are never written.
 */
import { createHash } from "node:crypto";
import type { Nft } from "../apply/ports.ts";
import { messageOf, PodtapError } from "../base/errors.ts";
import type { NftFamily, NftTable, NftTableId } from "../nft/model.ts";
import { renderDelete, renderReplace, renderTable, renderTableId } from "../nft/render.ts";
import type { ObservedNftTable } from "../plan/observed.ts";
import { ENOENT, KernelError } from "./errno.ts";
import { readNftTableIds } from "./nfnetlink.ts";
import { runNft } from "./nft.ts";

const OWN_PREFIX = "podtap";

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

export const nftTables: Nft = {
  create: (tables) => {
    tables.forEach(refuseForeign);
    // Asking is cheaper than nft's `create`, and much cheaper than a refused transaction.
    const there = readNftTableIds();
    if (tables.some((table) => there.some((one) => isSameTable(one, table)))) return false;
    if (tables.length > 0) runOrReplace(tables.map(renderTable).join(""), tables);
    return true;
  },
  replace: (tables) => {
    tables.forEach(refuseForeign);
    if (tables.length > 0) runOrReplace(renderReplace(tables), tables);
  },
  delete: (tables) => {
    tables.forEach(refuseForeign);
    if (tables.length > 0) runNft(renderDelete(tables));
  },
};

/** A script that was cut short by a signal may have been taken; replacing is right either way. */
function runOrReplace(script: string, tables: readonly NftTable[]): void {
  try {
    runNft(script);
  } catch (thrown) {
    if (!(thrown instanceof PodtapError && thrown.retry === "soon")) throw thrown;
    runNft(renderReplace(tables));
  }
}

/**
 * The digest is of nft's own listing without handles, counters and timeouts; it sorts elements of sets itself.
 * One listing of everything: several `list table` in one script make nft 1.0.6 look at the last one only.
 */
export function readNftTables(prefix: string): readonly ObservedNftTable[] {
  if (!readNftTableIds().some(({ name }) => name.startsWith(prefix))) return [];
  return runNft("list ruleset\n")
    .split(/^(?=table )/m)
    .flatMap((text): readonly ObservedNftTable[] => {
      const [, family, name] = /^table (\w+) (\S+) \{/.exec(text) ?? [];
      if (name === undefined || !name.startsWith(prefix)) return [];
      return [{ family: family as NftFamily, name, digest: digestOf(text) }];
    });
}

export function readNftCounters(table: NftTableId): Readonly<Record<string, Counter>> {
  const listing = listCounters(renderTableId(table));
  const { nftables } = JSON.parse(listing) as {
    nftables: readonly { counter?: Counter & { name: string } }[];
  };
  return Object.fromEntries(
    nftables.flatMap(({ counter }) =>
      counter === undefined
        ? []
        : [[counter.name, { packets: counter.packets, bytes: counter.bytes }] as const],
    ),
  );
}

function listCounters(table: string): string {
  try {
    return runNft(`list counters table ${table}\n`, { output: "json" });
  } catch (thrown) {
    if (!messageOf(thrown).includes("No such file")) throw thrown;
    const hint =
      "the table is not there: was the VM's network torn down, or `nft flush ruleset` run in its pod?";
    throw new KernelError({ errno: ENOENT, operation: "read the counters of table", object: table, hint });
  }
}

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function refuseForeign({ family, name }: NftTableId): void {
  if (name.startsWith(OWN_PREFIX)) return;
  throw new PodtapError({
    code: "PT-NFT-3",
    message: `table ${family} ${name} is not podtap's: its name does not begin with ${OWN_PREFIX}`,
    blame: "podtap",
  });
}

function isSameTable(a: NftTableId, b: NftTableId): boolean {
  return a.family === b.family && a.name === b.name;
}
