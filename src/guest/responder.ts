/**
 * What every responder at the guest's door is: an Ethernet frame in, zero or more Ethernet frames out, and what was
 * learnt. No sockets, no clock, no randomness: the loop that owns them is vm/guest-services.ts.
 *
 * Promises of every responder: `answer` and `tick` never throw, whatever the guest sends; no answer goes to an
 * Ethernet address other than the sender's or a group; one frame in gives at most one frame out; memory does not grow
 * with the number of frames.
 */
import type { Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { Malformed } from "../wire/malformed.ts";
import type { GuestService } from "./config.ts";

export interface Responder {
  readonly type: GuestService["type"];
  /** What of the configuration cannot be served, and why; for people. */
  readonly notes: readonly string[];
  /** Undefined: the frame is no business of this responder. */
  answer(frame: Uint8Array, nowMs: number): Answer | undefined;
  /** Frames that are due by themselves, and when to ask again; never before the first call. */
  tick?(nowMs: number): Tick;
}

export interface Answer {
  readonly frames: readonly Uint8Array[];
  /** What the guest has told by this frame. */
  readonly fact?: GuestFact;
  /** Why there is no frame. */
  readonly refusal?: Refusal;
}

export interface Tick {
  readonly frames: readonly Uint8Array[];
  readonly nextMs: number;
}

/** The MAC is the sender's Ethernet address, which the filter at the tap has checked; not what a payload claims. */
export type GuestFact =
  | {
      readonly kind: "lease";
      readonly via: "dhcp4" | "dhcp6";
      readonly mac: Mac;
      readonly ip: Ip;
      readonly untilMs: number;
    }
  /** `declined`: the guest found somebody else using the address. */
  | {
      readonly kind: "released" | "declined";
      readonly via: "dhcp4" | "dhcp6";
      readonly mac: Mac;
      readonly ip: Ip;
    };

/** A fixed set of words, so that counting them takes fixed memory. */
export type Refusal =
  | Malformed
  /** To an address that is not this server's: on its way to another one. */
  | "other-destination"
  /** Names another server in its server identifier. */
  | "other-server"
  /** From a MAC that is not served here. */
  | "other-client"
  /** Not a message that clients send to servers. */
  | "not-a-request"
  /** An option that the message must have is missing, or one that it must not have is there. */
  | "missing-option"
  | "forbidden-option"
  /** Understood and noted; the protocol wants no answer, or only a later one. */
  | "no-answer-due";

export function refuse(refusal: Refusal): Answer {
  return refusals.get(refusal) ?? { frames: [], refusal };
}

const refusals = new Map<Refusal, Answer>(
  (
    [
      "other-protocol",
      "truncated",
      "bad-length",
      "bad-header",
      "bad-checksum",
      "fragment",
      "bad-name",
      "other-destination",
      "other-server",
      "other-client",
      "not-a-request",
      "missing-option",
      "forbidden-option",
      "no-answer-due",
    ] as const
  ).map((refusal) => [refusal, { frames: [], refusal }]),
);
