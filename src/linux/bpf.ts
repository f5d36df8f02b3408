/** bpf(2): programs for the kernel, checked by it when they are loaded. */
import { EAGAIN, KernelError } from "./errno.ts";
import { addressOf, bpf } from "./libc.ts";

const BPF_PROG_LOAD = 5;
const BPF_PROG_TYPE_SCHED_CLS = 3;
/** Up to and with `prog_name` of `union bpf_attr`. */
const ATTRIBUTES = 64;
const PROG_NAME = 48;
const INSTRUCTION = 8;
/** More than what the verifier says of the longest program. */
const LOG = 65_536;
const ATTEMPTS = 10;
/** Not the GPL's: none of the helpers called asks for it. */
const LICENCE = new TextEncoder().encode("Apache-2.0\0");

/**
 * A descriptor of a loaded traffic classifier. Close it with node:fs closeSync: the filter keeps the program.
 * @param name what `tc` and `bpftool` show; at most 15 letters, digits and underscores
 */
export function loadClassifier(program: Uint8Array, name: string): number {
  for (let attempt = 1; ; attempt++) {
    try {
      return load(program, name);
    } catch (thrown) {
      if (!(thrown instanceof KernelError)) throw thrown;
      // The verifier gives up when a signal waits for the thread; libbpf tries again too.
      if (thrown.errno !== EAGAIN || attempt === ATTEMPTS) throw withLog(thrown, program, name);
    }
  }
}

/** Asked again with a log, for the verifier's own words: its last line but the statistics. */
function withLog(refusal: KernelError, program: Uint8Array, name: string): unknown {
  const log = new Uint8Array(LOG);
  try {
    load(program, name, log);
  } catch {
    const lines = new TextDecoder()
      .decode(log.subarray(0, log.indexOf(0)))
      .trim()
      .split("\n");
    const said = lines.findLast((line) => line !== "" && !line.startsWith("processed "));
    return new KernelError({
      errno: refusal.errno,
      operation: "load the eBPF program",
      object: name,
      said,
      hint: "`podtap doctor` lists what this kernel has; podtap can do without eBPF",
    });
  }
  return refusal;
}

function load(program: Uint8Array, name: string, log?: Uint8Array): number {
  const bytes = new Uint8Array(ATTRIBUTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, BPF_PROG_TYPE_SCHED_CLS, true);
  view.setUint32(4, program.length / INSTRUCTION, true);
  view.setBigUint64(8, addressOf(program), true);
  view.setBigUint64(16, addressOf(LICENCE), true);
  if (log !== undefined) {
    view.setUint32(24, 1, true);
    view.setUint32(28, log.length, true);
    view.setBigUint64(32, addressOf(log), true);
  }
  bytes.set(new TextEncoder().encode(name).subarray(0, 15), PROG_NAME);
  return bpf(BPF_PROG_LOAD, bytes, name);
}
