/**
 * The serving loop of the guest services in a process of its own, as the launcher runs it: the packet socket is
 * descriptor 3, services and orders come through Node's channel. For `bench dhcp` and for tests of the rights it needs.
 */
import type { GuestService } from "../src/guest/config.ts";
import { packetPort } from "../src/linux/packet-port.ts";
import { guestServices } from "../src/vm/guest-services.ts";
import { FIRST_PACKET_FD, type GuestLease } from "../src/vm/launch-spec.ts";

export type ServerOrder = { readonly serve: readonly GuestService[] } | { readonly report: true };

export type ServerWord =
  | { readonly serving: true }
  | { readonly lease: GuestLease }
  | {
      readonly report: {
        /** User and system time since the last report. */
        readonly cpuUs: number;
        readonly rssMiB: number;
        readonly received: number;
        readonly sent: number;
      };
    };

const services = guestServices({
  port: packetPort,
  descriptors: [FIRST_PACKET_FD],
  clock: { now: Date.now },
  log: (line) => process.stderr.write(`${line}\n`),
});
let cpu = process.cpuUsage();

function say(word: ServerWord): void {
  process.send?.(word);
}

function report(): void {
  const { user, system } = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  const all = Object.values(services.counters());
  const sum = (key: "received" | "sent") => all.reduce((total, counters) => total + counters[key], 0);
  say({
    report: {
      cpuUs: user + system,
      rssMiB: process.memoryUsage.rss() / 2 ** 20,
      received: sum("received"),
      sent: sum("sent"),
    },
  });
}

process.on("message", (order: ServerOrder) => {
  if ("report" in order) return report();
  services.serve(order.serve, (lease) => say({ lease }));
  return say({ serving: true });
});
process.on("disconnect", () => {
  services.close();
  process.exit(0);
});
