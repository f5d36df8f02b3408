/**
 * How the engine sees the machine. `linux/` implements these on the kernel, `linux/fake/` in memory, and both
 * pass test/contract/kernel.contract.ts. All calls are synchronous: they run inside a window in which the
 * calling thread is in the pod's namespace (lab-notes 1.3).
 */

import type { Ip } from "../base/ip.ts";
import type { NftTable, NftTableId } from "../nft/model.ts";
import type {
  Observed,
  ObservedFdbEntry,
  ObservedLink,
  ObservedNeighbour,
  ObservedNftTable,
  ObservedRoute,
} from "../plan/observed.ts";
import type { Step, StepOf, StepOp } from "../plan/step.ts";

/** One namespace's network, open. */
export interface Kernel {
  readLinks(): readonly ObservedLink[];
  /**
   * Main table, both families; multipath routes are listed once a hop.
   * @param links just read, to name the routes' links without reading them again
   */
  readRoutes(links?: readonly ObservedLink[]): readonly ObservedRoute[];
  /** Permanent entries of both families. */
  readNeighbours(): readonly ObservedNeighbour[];
  /** Asks the wire, and waits a few milliseconds for answers; who is silent is left out. */
  resolveNeighbours(link: string, ips: readonly Ip[]): readonly ObservedNeighbour[];
  /** Static entries of all bridges of the namespace, the ports' own addresses left out. */
  readFdb(): readonly ObservedFdbEntry[];
  /** By link; null where we redirect nothing. */
  readRedirects(links: readonly string[]): Observed["redirects"];
  /** null where the kernel has no such key. */
  readSysctl(key: string): string | null;
  /** Tables whose name begins with the given prefix. */
  readNftTables(prefix: string): readonly ObservedNftTable[];
  /** Changes with every committed change of any table of the namespace, and with nothing else. */
  readNftGeneration(): number;
  /** Packets and bytes of named counters of a table, by counter name. */
  readNftCounters(
    table: NftTableId,
  ): Readonly<Record<string, { readonly packets: number; readonly bytes: number }>>;
  /**
   * Carries out steps in order; addresses for one link go to the kernel together. Idempotent where the wanted state
   * is already there with our mark.
   * @throws PodtapError `PT-KERNEL-<errno>` naming operation, object and the kernel's words; `PT-NFT-1` naming the
   *   refused line of rules.
   */
  run(...steps: readonly Step[]): void;
}

export type Executors = { readonly [O in StepOp]: (step: StepOf<O>) => void };

/** nftables in the calling thread's namespace. */
export interface Nft {
  /** Refuses, and changes nothing, where one of them is there already: false. */
  create(tables: readonly NftTable[]): boolean;
  replace(tables: readonly NftTable[]): void;
  delete(tables: readonly NftTableId[]): void;
}
