/**
 * podtap's tables in the calling thread's namespace: put in place, removed, listed as digests, counted. Tables
 * whose name lacks podtap's prefix are never written.
 */
import { createHash } from "node:crypto";
import type { Nft } from "../apply/ports.ts";
import { PodtapError } from "../base/errors.ts";
import type { NftFamily, NftTableId } from "../nft/model.ts";
import { renderDelete, renderReplace, renderTableId } from "../nft/render.ts";
import type { ObservedNftTable } from "../plan/observed.ts";
import { runNft } from "./nft.ts";

const OWN_PREFIX = "podtap";

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

export const nftTables: Nft = {
  replace: (tables) => {
    tables.forEach(refuseForeign);
    if (tables.length > 0) runNft(renderReplace(tables));
  },
  delete: (tables) => {
    tables.forEach(refuseForeign);
    if (tables.length > 0) runNft(renderDelete(tables));
  },
};

/** The digest is of nft's own listing without handles, counters and timeouts; it sorts elements of sets itself. */
export function readNftTables(prefix: string): readonly ObservedNftTable[] {
  const tables = [...runNft("list tables").matchAll(/^table (\w+) (\S+)$/gm)]
    .map(([, family, name]): NftTableId => ({ family: family as NftFamily, name: name ?? "" }))
    .filter(({ name }) => name.startsWith(prefix));
  if (tables.length === 0) return [];
  const listing = runNft(tables.map((table) => `list table ${renderTableId(table)}\n`).join(""));
  // Listings follow each other in the order they were asked for, each beginning at the margin.
  const texts = listing.split(/^(?=table )/m);
  return tables.map((table, i) => ({ ...table, digest: digestOf(texts[i] ?? "") }));
}

export function readNftCounters(table: NftTableId): Readonly<Record<string, Counter>> {
  const listing = runNft(`list counters table ${renderTableId(table)}`, { output: "json" });
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

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function refuseForeign({ family, name }: NftTableId): void {
  if (name.startsWith(OWN_PREFIX)) return;
  throw new PodtapError({
    code: "PT-NFT-4",
    message: `table ${family} ${name} is not podtap's: its name does not begin with ${OWN_PREFIX}`,
    blame: "podtap",
  });
}
