/**
 * eBPF instructions (Documentation/bpf/standardization/instruction-set.rst) as values ⇄ bytes, with labels for jumps:
 * what a small classifier needs, and no more.
 *
 *   instruction  opcode u8 | source << 4, destination u8 | offset i16 | immediate i32
 *
 * Comparisons are of 32 bits, so that no immediate is sign-extended (kernel 5.1). Frames are read by the old
 * "absolute" and "indirect" loads: they need r6 to hold the context, give host order in r0, clobber r1 to r5, reach
 * into a frame's fragments, and end the program with 0 where the frame is too short.
 */

export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
export type Size = "byte" | "half" | "word";

export interface Instruction {
  readonly opcode: number;
  readonly destination?: Register;
  readonly source?: Register;
  readonly offset?: number;
  readonly immediate?: number;
  /** Taken where the condition holds; sets the offset. */
  readonly jump?: string;
  /** As people read it. */
  readonly text: string;
}

export type Line = Instruction | { readonly label: string };

const ABSOLUTE = { byte: 0x30, half: 0x28, word: 0x20 } as const;
const INDIRECT = { byte: 0x50, half: 0x48, word: 0x40 } as const;
const JUMP = 0x05;
const EXIT = 0x95;
const LENGTH = 8;

/** r0 = the frame's bytes at an offset from its first. */
export function loadFrame(size: Size, at: number): Instruction {
  return { opcode: ABSOLUTE[size], immediate: at, text: `r0 = ${size} frame[${at}]` };
}

/** The same, the offset counted from a register. */
export function loadFrameFrom(size: Size, index: Register, at: number): Instruction {
  const text = `r0 = ${size} frame[r${index} + ${at}]`;
  return { opcode: INDIRECT[size], source: index, immediate: at, text };
}

/** destination = the word in memory, that of the context or the stack (r10). */
export function loadWord(destination: Register, base: Register, offset: number): Instruction {
  return {
    opcode: 0x61,
    destination,
    source: base,
    offset,
    text: `r${destination} = word [r${base} + ${offset}]`,
  };
}

export function storeWord(base: Register, offset: number, source: Register): Instruction {
  return {
    opcode: 0x63,
    destination: base,
    source,
    offset,
    text: `word [r${base} + ${offset}] = r${source}`,
  };
}

export function copy(destination: Register, source: Register): Instruction {
  return { opcode: 0xbf, destination, source, text: `r${destination} = r${source}` };
}

export function set(destination: Register, immediate: number): Instruction {
  return { opcode: 0xb7, destination, immediate, text: `r${destination} = ${immediate}` };
}

export function and(destination: Register, mask: number): Instruction {
  return { opcode: 0x54, destination, immediate: mask, text: `r${destination} &= ${hex(mask)}` };
}

export function shiftLeft(destination: Register, bits: number): Instruction {
  return { opcode: 0x64, destination, immediate: bits, text: `r${destination} <<= ${bits}` };
}

export function jumpIfEqual(register: Register, value: number, label: string): Instruction {
  const text = `if r${register} == ${hex(value)} goto ${label}`;
  return { opcode: 0x16, destination: register, immediate: value, jump: label, text };
}

export function jumpUnlessEqual(register: Register, value: number, label: string): Instruction {
  const text = `if r${register} != ${hex(value)} goto ${label}`;
  return { opcode: 0x56, destination: register, immediate: value, jump: label, text };
}

export function jumpIfBits(register: Register, bits: number, label: string): Instruction {
  const text = `if r${register} & ${hex(bits)} goto ${label}`;
  return { opcode: 0x46, destination: register, immediate: bits, jump: label, text };
}

export function jump(label: string): Instruction {
  return { opcode: JUMP, jump: label, text: `goto ${label}` };
}

export function call(helper: number, name: string): Instruction {
  return { opcode: 0x85, immediate: helper, text: `call ${name}` };
}

export const exit: Instruction = { opcode: EXIT, text: "exit" };

export function assemble(lines: readonly Line[]): Uint8Array {
  const { code, targets } = reachable(lines);
  const bytes = new Uint8Array(code.length * LENGTH);
  const view = new DataView(bytes.buffer);
  code.forEach((line, at) => {
    const offset = line.jump === undefined ? (line.offset ?? 0) : targetOf(targets, line.jump) - at - 1;
    view.setUint8(at * LENGTH, line.opcode);
    view.setUint8(at * LENGTH + 1, ((line.source ?? 0) << 4) | (line.destination ?? 0));
    view.setInt16(at * LENGTH + 2, offset, true);
    view.setInt32(at * LENGTH + 4, (line.immediate ?? 0) | 0, true);
  });
  return bytes;
}

/** One line an instruction, labels at the margin. */
export function listing(lines: readonly Line[]): string {
  const { code, targets } = reachable(lines);
  const used = new Set(code.map(({ jump: label }) => label));
  const labelsAt = (at: number): readonly string[] =>
    [...targets]
      .filter(([label, target]) => target === at && used.has(label))
      .map(([label]) => `${label}:\n`);
  return code.map(({ text }, at) => `${labelsAt(at).join("")}  ${text}\n`).join("");
}

/** The kernel refuses instructions that nothing leads to: they are left out. */
function reachable(lines: readonly Line[]): {
  readonly code: readonly Instruction[];
  readonly targets: ReadonlyMap<string, number>;
} {
  const seen = new Set<number>();
  const indexOf = new Map(lines.flatMap((line, at) => ("label" in line ? [[line.label, at] as const] : [])));
  const open = [0];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const line = lines[at];
    if (line === undefined) throw new RangeError("an eBPF program runs beyond its end");
    if (seen.has(at)) continue;
    seen.add(at);
    if ("label" in line) {
      open.push(at + 1);
      continue;
    }
    if (line.jump !== undefined) open.push(targetOf(indexOf, line.jump));
    if (line.opcode !== JUMP && line.opcode !== EXIT) open.push(at + 1);
  }
  const code: Instruction[] = [];
  const targets = new Map<string, number>();
  lines.forEach((line, at) => {
    if (!seen.has(at)) return;
    if ("label" in line) targets.set(line.label, code.length);
    else code.push(line);
  });
  return { code, targets };
}

function targetOf(labels: ReadonlyMap<string, number>, label: string): number {
  const target = labels.get(label);
  if (target === undefined) throw new RangeError(`an eBPF program jumps to ${label}, which it lacks`);
  return target;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
