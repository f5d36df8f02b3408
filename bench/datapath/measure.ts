/** Cells of the tables, measured in interleaved rounds: in each round every scenario once, each round begins with another. */
import type { Station } from "./guest.ts";
import { PEER_IP, PORT } from "./lab.ts";

export type Kind = "tcp" | "udp" | "send" | "receive";

export interface Cell {
  readonly kind: Kind;
  /** Bytes; of streams 0. */
  readonly size: number;
}

/** Per scenario and cell a figure a round: microseconds one way, or Gb/s. */
export type Figures = ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>;

export const keyOf = ({ kind, size }: Cell): string => (size === 0 ? kind : `${kind} ${size}`);

export async function measure(options: {
  readonly guests: ReadonlyMap<string, Station>;
  readonly cells: readonly Cell[];
  readonly rounds: number;
  readonly milliseconds: number;
  readonly signal?: AbortSignal;
  note(text: string): void;
}): Promise<Figures> {
  const { guests, cells, rounds, milliseconds, signal, note } = options;
  const names = [...guests.keys()];
  const figures = new Map(
    names.map((name) => [name, new Map<string, number[]>(cells.map((cell) => [keyOf(cell), []]))]),
  );
  for (let round = 0; round < rounds; round++) {
    for (const [at, cell] of cells.entries()) {
      // Another one first each time: who begins pays for cold caches.
      for (const offset of names.keys()) {
        const name = names[(round + at + offset) % names.length] ?? "";
        const guest = guests.get(name);
        if (guest === undefined) continue;
        signal?.throwIfAborted();
        figures
          .get(name)
          ?.get(keyOf(cell))
          ?.push(await measureCell(guest, cell, milliseconds));
      }
    }
    note(`round ${round + 1} of ${rounds}\n`);
  }
  return figures;
}

async function measureCell(guest: Station, { kind, size }: Cell, milliseconds: number): Promise<number> {
  const stream = kind === "send" || kind === "receive";
  const words = [kind, PEER_IP, PORT, ...(stream ? [] : [size]), milliseconds].map(String);
  const { p50, bytes, ns } = await guest.pingpong(words, milliseconds);
  if (stream) return ((bytes ?? Number.NaN) * 8) / (ns ?? Number.NaN);
  // One way, as qperf tells it: half of a round trip.
  return (p50 ?? Number.NaN) / 2000;
}
