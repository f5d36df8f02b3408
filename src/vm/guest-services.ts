/**
 * DHCPv4, DHCPv6 and router advertisements at the guest's door, served by the launcher without any right.
 *
 * The node daemon opened one packet socket of the pod's namespace for each link and handed over the descriptors;
 * here each gets a filter and a link. What to answer is guest/; reading and sending is guest-services/link-server.ts.
 */
import type { Clock } from "../base/clock.ts";
import { PodtapError } from "../base/errors.ts";
import type { GuestService } from "../guest/config.ts";
import { makeResponder } from "../guest/make-responder.ts";
import type { GuestFact } from "../guest/responder.ts";
import { type LinkCounters, type LinkServer, serveLink } from "./guest-services/link-server.ts";
import type { GuestLease } from "./launch-spec.ts";
import type { PacketPort } from "./packet-port.ts";

/** The same lease is told again after this: often enough for a guest that restarts, seldom enough for one that floods. */
const TELL_AGAIN_MS = 1000;
/** A lease of another MAC: a guest that makes up new ones all the time does not get round the limit. */
const TELL_OTHER_MS = 100;

export interface GuestServicesOptions {
  readonly port: PacketPort;
  /** Packet sockets, one for each link with services; which is whose does not matter. They stay open. */
  readonly descriptors: readonly number[];
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

export interface GuestServices {
  /** Listening when it returns. Called again, it serves the new list instead of the old one. */
  serve(services: readonly GuestService[], leased: (lease: GuestLease) => void): void;
  /** By link. */
  counters(): Readonly<Record<string, LinkCounters>>;
  close(): void;
}

export function guestServices(options: GuestServicesOptions): GuestServices {
  let servers: readonly LinkServer[] = [];

  function close(): void {
    for (const server of servers) server.close();
    servers = [];
  }

  return {
    serve(services, leased) {
      close();
      const links = [...new Set(services.map(({ link }) => link))];
      if (links.length > options.descriptors.length) throw tooFewSockets(links, options.descriptors.length);
      const started: LinkServer[] = [];
      servers = started;
      links.forEach((link, i) => {
        const fd = options.descriptors[i];
        if (fd === undefined) return;
        const responders = services.filter((service) => service.link === link).map(makeResponder);
        for (const note of responders.flatMap((responder) => responder.notes))
          options.log(`${link}: ${note}`);
        const onFact = factTeller(link, options, leased);
        started.push(serveLink({ link, fd, responders, port: options.port, clock: options.clock, onFact }));
      });
    },
    counters: () => Object.fromEntries(servers.map(({ link, counters }) => [link, counters])),
    close,
  };
}

/** Tells leases, and logs the rest once each: a guest decides how often it says something, not how much is kept. */
function factTeller(
  link: string,
  { clock, log }: GuestServicesOptions,
  leased: (lease: GuestLease) => void,
): (fact: GuestFact) => void {
  const told = new Map<GuestLease["via"], { readonly mac: string; readonly atMs: number }>();
  const logged = new Set<string>();
  return (fact) => {
    const { kind, via, mac, ip } = fact;
    if (kind !== "lease") {
      const what = `${via} ${kind}`;
      if (logged.has(what)) return;
      logged.add(what);
      const meaning = kind === "declined" ? ": it found somebody else using it" : "";
      log(`${link}: the guest (${mac}) ${kind} ${ip} by ${via}${meaning}; told once`);
      return;
    }
    const last = told.get(via);
    const nowMs = clock.now();
    const pauseMs = last?.mac === mac ? TELL_AGAIN_MS : TELL_OTHER_MS;
    if (last !== undefined && nowMs - last.atMs < pauseMs) return;
    told.set(via, { mac, atMs: nowMs });
    leased({ link, mac, ip, via });
  };
}

function tooFewSockets(links: readonly string[], given: number): PodtapError {
  return new PodtapError({
    code: "PT-GUEST-1",
    message: `cannot serve ${links.join(", ")}: ${links.length} packet sockets are needed, ${given} were handed over`,
    hint: "the node daemon opens one for each link with guest services before it starts the launcher",
    blame: "podtap",
  });
}
