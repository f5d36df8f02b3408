/** Namespaces as guests: the wiring is what is measured, and not an emulated processor. */
import { startNamespaceGuest } from "../../test/support/namespace-guest.ts";
import type { Answer, Guest, GuestKind, Place } from "./guest.ts";
import { type Lab, pingpong } from "./lab.ts";

export const NAMESPACES: GuestKind = {
  text: "a namespace behind the tap, joined to it as QEMU would be (test/support/relay.c)",
  // Where two processors take turns, waking the other one is most of a round trip, now and then: on one, what is
  // left is the work of the path.
  placement: { latency: "together", streams: "anywhere" },
  processors: "Latency with everything on one processor, throughput on all.",
  rounds: 30,
  milliseconds: 80,
  cannotJoin: ({ attaches }) =>
    attaches === "tap" || attaches === "macvtap" ? undefined : "only a real guest can be joined to it",
  start,
};

async function start(lab: Lab, { pod, nic }: Place): Promise<Guest> {
  const { guestLink: tap, mac } = nic;
  const guest = await startNamespaceGuest({ podNetns: pod.name, tap, mac, mtu: lab.mtu });
  lab.after(() => guest.stop());
  lab.guests.add(guest.relayPid);
  return {
    run: (program, ...args) => guest.read(program, ...args),
    pingpong: async (words) => JSON.parse(await guest.read(pingpong(), ...words)) as Answer,
    rest: async () => undefined,
  };
}
