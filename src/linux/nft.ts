/**
 * nftables through libnftables.so.1, the library that `nft` itself is. Call inside the namespace's window.
 *
 * Theory of operation. A context is made for each run (it opens its netlink socket in the namespace of that
 * moment), runs one script as one transaction with output and errors buffered, and is freed afterwards: it holds some
 * 2 MiB, so at the next turn of the event loop, but by a timer where something was deleted, because then freeing
 * waits 13-19 ms for the kernel's RCU grace period. Of a script in a buffer nft
 * 1.0.6 names neither line nor column of what it refuses, of a file it does, but files cost a tenth more: a script
 * that was refused has changed nothing and is run again from a file in memory.
 * libnftables is not thread-safe, not even with separate contexts: only podtap's network worker may call this.
 */
import { ftruncateSync, writeSync } from "node:fs";
import koffi, { type LibraryHandle } from "koffi";
import { PodtapError } from "../base/errors.ts";
import { memoryFile } from "./libc.ts";
import { withLowDescriptor } from "./low-descriptors.ts";

/** Leaves out what changes by itself: counters, timeouts. */
const STATELESS = 1 << 2;
const JSON_OUTPUT = 1 << 4;
/** Protocols, ports and priorities as numbers, so that a listing does not depend on /etc/services. */
const NUMERIC = (1 << 7) | (1 << 8) | (1 << 9);
const FREE_AFTER_MILLISECONDS = 200;

type Context = unknown;
type Call<A extends readonly unknown[], R> = (...args: A) => R;

interface Library {
  readonly create: Call<[number], Context>;
  readonly free: Call<[Context], void>;
  readonly bufferOutput: Call<[Context], number>;
  readonly bufferError: Call<[Context], number>;
  readonly output: Call<[Context], string>;
  readonly error: Call<[Context], string>;
  readonly flags: Call<[Context, number], void>;
  readonly runBuffer: Call<[Context, string], number>;
  readonly runFile: Call<[Context, string], number>;
}

export interface NftMode {
  readonly output?: "text" | "json";
}

/** Runs a script and gives what it listed. Throws PT-NFT-1 with the refused line, to be tried again if "soon". */
export function runNft(script: string, { output = "text" }: NftMode = {}): string {
  const nft = library();
  const flags = output === "json" ? JSON_OUTPUT : STATELESS | NUMERIC;
  const free: Free = /^\s*(?:delete|flush|destroy)\b/m.test(script)
    ? (context) => setTimeout(() => nft.free(context), FREE_AFTER_MILLISECONDS).unref()
    : (context) => setImmediate(() => nft.free(context)).unref();
  const first = runOnce(nft, flags, free, (context) => nft.runBuffer(context, script));
  if (first.done) return first.output;
  // A signal came while libnftables waited for the answer: whether the kernel took the script is not known.
  if (/interrupted/i.test(first.complaint)) throw nftError(script, first.complaint);
  file ??= memoryFile("podtap.nft");
  ftruncateSync(file, 0);
  writeSync(file, script, 0);
  const path = `/proc/self/fd/${file}`;
  const second = runOnce(nft, flags, free, (context) => nft.runFile(context, path));
  if (second.done) return second.output;
  throw nftError(script, second.complaint);
}

type Run =
  | { readonly done: true; readonly output: string }
  | { readonly done: false; readonly complaint: string };

type Free = (context: Context) => unknown;

function runOnce(nft: Library, flags: number, free: Free, run: (context: Context) => number): Run {
  const context = withLowDescriptor(() => nft.create(0));
  try {
    nft.bufferOutput(context);
    nft.bufferError(context);
    nft.flags(context, flags);
    return run(context) === 0
      ? { done: true, output: nft.output(context) }
      : { done: false, complaint: nft.error(context) };
  } finally {
    free(context);
  }
}

/** The error for what libnftables wrote about a script that it or the kernel refused. */
export function nftError(script: string, complaint: string): PodtapError {
  const { message, line } = parseComplaint(complaint);
  const refused = line === undefined ? "" : (script.split("\n")[line - 1] ?? "").trim();
  return new PodtapError({
    code: "PT-NFT-1",
    message: `nftables refused ${refused === "" ? "the rules" : JSON.stringify(refused)}: ${message}`,
    hint: hintFor(message),
    retry: /busy|temporarily|interrupted/i.test(message) ? "soon" : "never",
    blame: "host",
  });
}

/** `where:line:column-column: Error: words`, the first of them; the place is absent for errors of the kernel at large. */
function parseComplaint(complaint: string): { readonly message: string; readonly line?: number } {
  const placed = /^[^\n:]*:(\d+):\d+(?:-\d+)?: Error: (.*)$/m.exec(complaint);
  if (placed !== null) return { line: Number(placed[1]), message: placed[2] ?? "" };
  const plain = /Error: (.*)$/m.exec(complaint);
  return { message: plain?.[1] ?? (complaint.trim() || "no reason given") };
}

function hintFor(message: string): string {
  if (message.includes("Operation not permitted")) {
    return "this needs root, or CAP_NET_ADMIN: run the podtap node daemon as root";
  }
  if (message.includes("Operation not supported") || message.includes("No such file")) {
    return "the line names something that is not there, or needs what this kernel lacks; see `podtap doctor`";
  }
  return "see `nft list ruleset` in that namespace";
}

let loaded: Library | undefined;
/** The script of the moment; one thread, so one file. */
let file: number | undefined;

function library(): Library {
  loaded ??= bindLibrary(loadLibrary());
  return loaded;
}

function loadLibrary(): LibraryHandle {
  try {
    return koffi.load("libnftables.so.1");
  } catch (thrown) {
    throw new PodtapError({
      code: "PT-NFT-2",
      message: "cannot load libnftables.so.1, which podtap writes its rules with",
      hint: "install it: apt-get install libnftables1, or your distribution's nftables-libs",
      blame: "host",
      cause: thrown,
    });
  }
}

function bindLibrary(nft: LibraryHandle): Library {
  const context = koffi.pointer(koffi.opaque());
  return {
    create: nft.func("nft_ctx_new", context, ["uint32_t"]),
    free: nft.func("nft_ctx_free", "void", [context]),
    bufferOutput: nft.func("nft_ctx_buffer_output", "int", [context]),
    bufferError: nft.func("nft_ctx_buffer_error", "int", [context]),
    output: nft.func("nft_ctx_get_output_buffer", "str", [context]),
    error: nft.func("nft_ctx_get_error_buffer", "str", [context]),
    flags: nft.func("nft_ctx_output_set_flags", "void", [context, "unsigned int"]),
    runBuffer: nft.func("nft_run_cmd_from_buffer", "int", [context, "str"]),
    runFile: nft.func("nft_run_cmd_from_filename", "int", [context, "str"]),
  };
}
