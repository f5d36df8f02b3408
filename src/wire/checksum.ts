/** The Internet checksum (RFC 1071) and the pseudo-headers it covers (RFC 768, RFC 8200 8.1). */

/**
 * Adds up 16-bit words from an even offset; an odd last byte counts as the high half. The sum is not folded: a
 * double holds the sum of any packet exactly.
 */
export function sumWords(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  let at = from;
  for (; at + 1 < to; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return at < to ? sum + ((bytes[at] ?? 0) << 8) : sum;
}

/** Folds a sum of words into the value for the packet. */
export function checksumOf(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** UDP sends 0xffff for a sum of zero, because zero says "no checksum" (RFC 768). */
export function udpChecksumOf(sum: number): number {
  return checksumOf(sum) || 0xffff;
}

export function pseudoHeaderSum4(
  source: number,
  destination: number,
  protocol: number,
  length: number,
): number {
  return (
    (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length
  );
}

/** @param header the 40 bytes of the IPv6 header, addresses filled in, at `at` */
export function pseudoHeaderSum6(bytes: Uint8Array, at: number, nextHeader: number, length: number): number {
  return sumWords(bytes, at + 8, at + 40) + nextHeader + length;
}

/** True for a header or packet whose checksum field is filled in and right. */
export function isChecksumRight(bytes: Uint8Array, from: number, to: number, pseudoHeaderSum = 0): boolean {
  return checksumOf(sumWords(bytes, from, to) + pseudoHeaderSum) === 0;
}
