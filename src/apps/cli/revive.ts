/**
 * A daemon that ends in the middle of a command: objects are on disk and guests run on without it, so the command has
 * it back and goes on. One line says so, however many requests broke. A daemon that ends again and again is not
 * started for ever.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { PodtapError } from "../../base/errors.ts";
import type { Revive } from "./client-http.ts";
import type { Context } from "./context.ts";
import { ensureDaemon, isReady, mayStartDaemon } from "./daemon.ts";

/** What keeps daemons, systemd for one, comes first; so long does it take. */
const KEEPER_MS = 1000;
/** And where this user may not start one, somebody else has to. */
const OTHERS_MS = 15_000;
const POLL_MS = 20;
const ENDS_MAX = 3;
const ENDS_WITHIN_MS = 60_000;

export function reviver(context: Context): Revive {
  let ends: readonly number[] = [];
  let underWay: Promise<void> | undefined;
  const revive = async (cause: PodtapError): Promise<void> => {
    // Others that broke with it come here later.
    if (await isReady(context.paths.socket)) return;
    const now = context.now();
    ends = [...ends.filter((end) => now - end < ENDS_WITHIN_MS), now];
    if (ends.length > ENDS_MAX) throw cause;
    const { terminal } = context;
    terminal.note(
      `${terminal.paint("yellow", "the podtap daemon ended in the middle")}; waiting for the next\n`,
    );
    const keeper = mayStartDaemon(context) ? KEEPER_MS : OTHERS_MS;
    for (const deadline = now + keeper; context.now() < deadline; await pause(POLL_MS)) {
      context.signal.throwIfAborted();
      if (await isReady(context.paths.socket)) return;
    }
    await ensureDaemon(context, { quiet: true });
  };
  return (cause) => {
    underWay ??= revive(cause).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}
