/**
 * The classic BPF program that keeps guests' ordinary traffic out of the launcher: it passes UDP to port 67, UDP over
 * IPv6 to port 547, and router solicitations, untagged and not fragmented; where somebody answers for neighbours, ARP
 * and neighbour solicitations too. It saves work and decides nothing: the responders check everything again.
 */
import type { FilterInstruction } from "../packet-port.ts";

const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
/** Relative to the index register. */
const LOAD_HALF_INDEXED = 0x48;
/** Index register = 4 × the low half of a byte: made for the IPv4 header length. */
const LOAD_HEADER_LENGTH = 0xb1;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_BITS = 0x45;
const RETURN = 0x06;
/** SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT: the kernel takes the tag out of the frame before it is seen here. */
const VLAN_TAG_PRESENT = 0xfffff000 + 48;

const ARP = 0x0806;
const NEIGHBOUR_SOLICIT = 135;

type Target = "accept" | "drop" | "next" | "ipv6" | "icmpv6";
type Line =
  | { readonly label?: Target; readonly load: number; readonly k: number }
  | {
      readonly label?: Target;
      readonly jump: number;
      readonly k: number;
      readonly yes: Target;
      readonly no: Target;
    }
  | { readonly label?: Target; readonly result: number };

const lines = (neighbours: boolean): readonly Line[] => [
  { load: LOAD_WORD, k: VLAN_TAG_PRESENT },
  { jump: JUMP_IF_EQUAL, k: 0, yes: "next", no: "drop" },
  { load: LOAD_HALF, k: 12 },
  ...(neighbours ? [{ jump: JUMP_IF_EQUAL, k: ARP, yes: "accept", no: "next" } as const] : []),
  { jump: JUMP_IF_EQUAL, k: 0x0800, yes: "next", no: "ipv6" },
  { load: LOAD_BYTE, k: 23 },
  { jump: JUMP_IF_EQUAL, k: 17, yes: "next", no: "drop" },
  { load: LOAD_HALF, k: 20 },
  { jump: JUMP_IF_BITS, k: 0x3fff, yes: "drop", no: "next" },
  { load: LOAD_HEADER_LENGTH, k: 14 },
  { load: LOAD_HALF_INDEXED, k: 16 },
  { jump: JUMP_IF_EQUAL, k: 67, yes: "accept", no: "drop" },
  { label: "ipv6", jump: JUMP_IF_EQUAL, k: 0x86dd, yes: "next", no: "drop" },
  { load: LOAD_BYTE, k: 20 },
  { jump: JUMP_IF_EQUAL, k: 17, yes: "next", no: "icmpv6" },
  { load: LOAD_HALF, k: 56 },
  { jump: JUMP_IF_EQUAL, k: 547, yes: "accept", no: "drop" },
  { label: "icmpv6", jump: JUMP_IF_EQUAL, k: 58, yes: "next", no: "drop" },
  { load: LOAD_BYTE, k: 54 },
  ...(neighbours ? [{ jump: JUMP_IF_EQUAL, k: NEIGHBOUR_SOLICIT, yes: "accept", no: "next" } as const] : []),
  { jump: JUMP_IF_EQUAL, k: 133, yes: "accept", no: "drop" },
  { label: "accept", result: 0x40000 },
  { label: "drop", result: 0 },
];

export const GUEST_SERVICE_FILTER = programOf(lines(false));
/** For links where somebody answers for neighbours. */
export const NEIGHBOUR_FILTER = programOf(lines(true));

function programOf(program: readonly Line[]): readonly FilterInstruction[] {
  return program.map((line, i) => {
    if ("result" in line) return { code: RETURN, jt: 0, jf: 0, k: line.result };
    if ("load" in line) return { code: line.load, jt: 0, jf: 0, k: line.k };
    const distance = (target: Target) =>
      target === "next" ? 0 : program.findIndex(({ label }) => label === target) - i - 1;
    return { code: line.jump, jt: distance(line.yes), jf: distance(line.no), k: line.k };
  });
}
