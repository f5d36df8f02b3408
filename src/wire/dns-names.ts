/**
 * Lists of domain names in DNS wire form (RFC 1035, 3.1), as DHCPv4 option 119 (RFC 3397), DHCPv6 option 24
 * (RFC 3646) and the DNSSL option of router advertisements (RFC 8106) carry them.
 *
 * Encoding never compresses: DHCPv6 and RA forbid it, and the little saved in option 119 is paid for by clients
 * that do not follow pointers. Decoding follows pointers, which may only lead backwards, so that it ends.
 */
import { concatBytes } from "./bytes.ts";
import type { Malformed } from "./malformed.ts";

/** Of a name in wire form, with its length bytes and the final zero (RFC 1035, 2.3.4). */
const WIRE_NAME_MAX = 255;

/** Undefined for what has no wire form: an empty label, one of more than 63 bytes, a name of more than 255. */
export function encodeDnsName(name: string): Uint8Array | undefined {
  const labels = name
    .replace(/\.$/, "")
    .split(".")
    .map((label) => new TextEncoder().encode(label));
  if (labels.some((label) => label.length === 0 || label.length > 63)) return undefined;
  const wire = concatBytes([
    ...labels.flatMap((label) => [Uint8Array.of(label.length), label]),
    Uint8Array.of(0),
  ]);
  return wire.length <= WIRE_NAME_MAX ? wire : undefined;
}

/** Zero bytes between names are padding, as DNSSL has it at its end. */
export function decodeDnsNames(bytes: Uint8Array): readonly string[] | Malformed {
  const names: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === 0) {
      at += 1;
      continue;
    }
    const name = readName(bytes, at);
    if (name === undefined) return "bad-name";
    names.push(name.text);
    at = name.end;
  }
  return names;
}

function readName(bytes: Uint8Array, start: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  let before = start;
  let end: number | undefined;
  let length = 1;
  for (;;) {
    const size = bytes[at];
    if (size === undefined) return undefined;
    if (size === 0) return { text: labels.join("."), end: end ?? at + 1 };
    if (size < 64) {
      length += size + 1;
      if (length > WIRE_NAME_MAX || at + 1 + size > bytes.length) return undefined;
      labels.push(new TextDecoder().decode(bytes.subarray(at + 1, at + 1 + size)));
      at += 1 + size;
      continue;
    }
    const low = bytes[at + 1];
    if (size < 0xc0 || low === undefined) return undefined;
    const target = ((size & 0x3f) << 8) | low;
    // Strictly before everything read so far: every jump shrinks the rest, so that the walk ends.
    if (target >= before) return undefined;
    end ??= at + 2;
    before = target;
    at = target;
  }
}
