/**
 * Cuts a stream of QEMU's `-netdev stream` (each frame behind its length, 32 bits in network order) between frames,
 * whatever the chunks it arrives in. Only lengths are read: what comes out are views of what came in.
 */

const LENGTH_BYTES = 4;
const SHORTEST = 14;
/** 64 KiB of IP behind an Ethernet header with tags; QEMU takes no more either (net.h, NET_BUFSIZE). */
const LONGEST = 65_536 + 64;

export class FrameCutter {
  /** Beginning of a frame whose end has not come yet. */
  #held: Buffer[] = [];
  #length = 0;
  #lengthBytesLeft = LENGTH_BYTES;
  #bodyLeft = 0;

  /**
   * @returns in order, parts that together end with a frame; empty when no frame became whole
   * @throws RangeError when a length is none: the two sides have lost each other
   */
  push(chunk: Buffer): readonly Buffer[] {
    let at = 0;
    let whole = 0;
    while (at < chunk.length) {
      if (this.#bodyLeft === 0) {
        at = this.#readLength(chunk, at);
      } else {
        const taken = Math.min(this.#bodyLeft, chunk.length - at);
        at += taken;
        this.#bodyLeft -= taken;
        if (this.#bodyLeft === 0) whole = at;
      }
    }
    if (whole === 0) {
      this.#held.push(chunk);
      return [];
    }
    const out = [...this.#held, chunk.subarray(0, whole)];
    this.#held = whole < chunk.length ? [chunk.subarray(whole)] : [];
    return out;
  }

  /** The stream ended; another one begins. */
  reset(): void {
    this.#held = [];
    this.#length = 0;
    this.#lengthBytesLeft = LENGTH_BYTES;
    this.#bodyLeft = 0;
  }

  #readLength(chunk: Buffer, start: number): number {
    let at = start;
    while (at < chunk.length && this.#lengthBytesLeft > 0) {
      this.#length = this.#length * 256 + (chunk[at] ?? 0);
      this.#lengthBytesLeft--;
      at++;
    }
    if (this.#lengthBytesLeft === 0) {
      if (this.#length < SHORTEST || this.#length > LONGEST) {
        throw new RangeError(`${this.#length} is not the length of a frame`);
      }
      this.#bodyLeft = this.#length;
      this.#length = 0;
      this.#lengthBytesLeft = LENGTH_BYTES;
    }
    return at;
  }
}
