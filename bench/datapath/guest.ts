/** What is measured sits in a guest. There are two kinds: a namespace, and a machine under QEMU. */
import type { Vmi } from "../../src/api/types.ts";
import type { BindingTraits } from "../../src/plan/binding.ts";
import type { NicPlan } from "../../src/plan/plan.ts";
import type { TestPod } from "../../test/support/netns.ts";
import type { Lab } from "./lab.ts";
import type { Placement } from "./processors.ts";

/** What pingpong.c prints, nanoseconds. */
export interface Answer {
  /** Of round trips; null when none came back. */
  readonly p50?: number | null;
  /** Of streams. */
  readonly bytes?: number;
  readonly ns?: number;
}

export interface Station {
  /** Runs pingpong.c with these words, for about so long, while no other guest is at work. */
  pingpong(words: readonly string[], milliseconds: number): Promise<Answer>;
}

export interface Guest extends Station {
  /** Standard output of a program inside; rejects when it fails. Its NIC is eth0. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** All that was to be set up is: what comes next is measured. */
  rest(): Promise<void>;
}

/** What a guest needs to know of its NIC; one that was wired by hand has no more. */
export type WiredNic = Pick<NicPlan, "domain" | "guestLink" | "mac" | "links" | "services">;

export interface Place {
  readonly pod: TestPod;
  readonly nic: WiredNic;
  readonly vmi: Vmi;
}

export interface GuestKind {
  /** For the report: what plays the guest. */
  readonly text: string;
  readonly placement: { readonly latency: Placement; readonly streams: Placement };
  /** The same for the report, a sentence. */
  readonly processors: string;
  readonly rounds: number;
  readonly milliseconds: number;
  /** Why it cannot be joined to such a NIC. */
  cannotJoin(traits: BindingTraits): string | undefined;
  /** The lab ends it. */
  start(lab: Lab, place: Place): Promise<Guest>;
}
