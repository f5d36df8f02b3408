/** Declared ports and port ranges as disjoint intervals a protocol: what an nft interval map takes. */
import type { InterfaceSpec } from "../../api/types.ts";

export interface PortInterval {
  readonly protocol: "tcp" | "udp";
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/** Sorted by protocol and port; overlapping and adjoining ones are merged, for nft refuses overlaps. */
export function declaredIntervals(nic: Pick<InterfaceSpec, "ports" | "portRanges">): readonly PortInterval[] {
  const wanted = [
    ...(nic.ports ?? []).map(({ protocol, port }) => ({ protocol: lower(protocol), start: port, end: port })),
    ...(nic.portRanges ?? []).map(({ protocol, start, end }) => ({ protocol: lower(protocol), start, end })),
  ].sort((a, b) => byName(a.protocol, b.protocol) || a.start - b.start || a.end - b.end);
  const merged: PortInterval[] = [];
  for (const next of wanted) {
    const last = merged.at(-1);
    if (last !== undefined && last.protocol === next.protocol && next.start <= last.end + 1) {
      merged[merged.length - 1] = { ...last, end: Math.max(last.end, next.end) };
    } else merged.push(next);
  }
  return merged;
}

/** `80`, `5000-5010`: the port half of an nft element. */
export function formatInterval({ start, end }: PortInterval): string {
  return start === end ? String(start) : `${start}-${end}`;
}

/** Not localeCompare: its first call loads the collation tables, some 10 ms in the middle of the first VM's start. */
function byName(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function lower(protocol: string | undefined): "tcp" | "udp" {
  return protocol === "UDP" ? "udp" : "tcp";
}
