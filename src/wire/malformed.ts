/**
 * Why bytes are not what a decoder reads. Decoders return one of these words instead of throwing: packets come from
 * hostile guests, and a fixed set of words can be counted without growing. No decoder returns strings for anything else.
 */
export type Malformed =
  /** Not the protocol the decoder was made for; somebody else's packet. */
  | "other-protocol"
  /** Ends before its own length fields say. */
  | "truncated"
  /** A length field that the protocol does not allow. */
  | "bad-length"
  /** A header field with a value that the protocol does not allow. */
  | "bad-header"
  | "bad-checksum"
  /** Part of a datagram: nobody fragments 300 bytes but to hide something. */
  | "fragment"
  /** A compressed name that points to itself or forward. */
  | "bad-name";
