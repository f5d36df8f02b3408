/**
 * One link, one packet socket, all responders of that link.
 *
 * Theory of operation. A readable socket is read until it is empty, but at most a batch at a time: a guest that
 * floods must not keep the launcher from its console and its libvirt. The socket stays readable, so the event loop
 * comes back. Each frame is shown to the responders in turn until one knows it. Nothing that a guest sends, and no
 * answer that the kernel does not take, ends the loop: it is counted.
 */
import type { Clock } from "../../base/clock.ts";
import type { GuestFact, Refusal, Responder } from "../../guest/responder.ts";
import type { PacketPort } from "../packet-port.ts";
import { GUEST_SERVICE_FILTER, NEIGHBOUR_FILTER } from "./packet-filter.ts";

const BATCH = 64;
/** setTimeout's limit is 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 3_600_000;

export interface LinkCounters {
  received: number;
  sent: number;
  /** Frames no responder knows: their service is not configured on this link. */
  unclaimed: number;
  /** Answers that the kernel did not take. */
  sendErrors: number;
  /** Pending errors of the socket: its link went down. */
  socketErrors: number;
  readonly refusals: Partial<Record<Refusal, number>>;
}

export interface LinkServerOptions {
  readonly link: string;
  readonly fd: number;
  readonly responders: readonly Responder[];
  readonly port: PacketPort;
  readonly clock: Clock;
  readonly onFact: (fact: GuestFact) => void;
}

export interface LinkServer {
  readonly link: string;
  readonly counters: LinkCounters;
  /** Leaves the descriptor open. */
  close(): void;
}

export function serveLink(options: LinkServerOptions): LinkServer {
  const { fd, responders, port, clock } = options;
  const counters: LinkCounters = {
    received: 0,
    sent: 0,
    unclaimed: 0,
    sendErrors: 0,
    socketErrors: 0,
    refusals: {},
  };
  const ticking = responders.filter((responder) => responder.tick !== undefined);
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;

  const asked = responders.some(({ type }) => type === "neighbours");
  const filter = asked ? NEIGHBOUR_FILTER : GUEST_SERVICE_FILTER;
  port.listen(fd, port.linkIndex(fd, options.link), filter);
  const polling = port.poll(fd, (errno) => {
    if (errno !== 0) counters.socketErrors += 1;
    serveBatch();
  });
  tickAll();
  return {
    link: options.link,
    counters,
    close() {
      polling.close();
      clearTimeout(timer);
    },
  };

  function serveBatch(): void {
    const nowMs = clock.now();
    for (let i = 0; i < BATCH; i++) {
      const frame = port.receive(fd);
      if (frame === undefined) break;
      counters.received += 1;
      serve(frame, nowMs);
    }
    // A solicitation may have brought an advertisement forward.
    if (ticking.length > 0) tickAll();
  }

  function serve(frame: Uint8Array, nowMs: number): void {
    for (const responder of responders) {
      const answer = responder.answer(frame, nowMs);
      if (answer === undefined) continue;
      if (answer.refusal !== undefined) {
        counters.refusals[answer.refusal] = (counters.refusals[answer.refusal] ?? 0) + 1;
      }
      send(answer.frames);
      if (answer.fact !== undefined) options.onFact(answer.fact);
      return;
    }
    counters.unclaimed += 1;
  }

  function send(frames: readonly Uint8Array[]): void {
    for (const frame of frames) {
      try {
        port.send(fd, frame);
        counters.sent += 1;
      } catch {
        // Full queue, link down: the client asks again.
        counters.sendErrors += 1;
      }
    }
  }

  function tickAll(): void {
    const nowMs = clock.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const responder of ticking) {
      const tick = responder.tick?.(nowMs);
      if (tick === undefined) continue;
      send(tick.frames);
      nextMs = Math.min(nextMs, tick.nextMs);
    }
    if (nextMs === dueMs) return;
    dueMs = nextMs;
    clearTimeout(timer);
    if (nextMs === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(
      () => {
        dueMs = Number.POSITIVE_INFINITY;
        tickAll();
      },
      Math.min(Math.max(nextMs - nowMs, 1), LONGEST_TIMER_MS),
    );
    timer.unref();
  }
}
