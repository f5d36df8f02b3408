/**
 * Has a daemon for a command: starts one when none is there, and has it back when it ends in the middle. Objects are on
 * disk and guests run on without it, so the command goes on; one line says so, however many requests broke. Neither a
 * daemon that ends again and again nor one that breaks every connection is tried for ever.
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
const STARTS_MAX = 3;
const BREAKS_MAX = 30;
const WITHIN_MS = 60_000;

export function reviver(context: Context): Revive {
  const starts = budget(context, STARTS_MAX);
  const breaks = budget(context, BREAKS_MAX);
  let underWay: Promise<void> | undefined;
  const revive = async (cause: PodtapError, met: boolean): Promise<void> => {
    if (met && (await isReady(context.paths.socket))) {
      // Most likely it is back already: others broke with this one.
      if (!breaks()) throw cause;
      await pause(POLL_MS);
      return;
    }
    if (!starts()) throw cause;
    if (met) await waitForKeeper(context);
    await ensureDaemon(context, { quiet: met });
  };
  return (cause, met) => {
    underWay ??= revive(cause, met).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

async function waitForKeeper(context: Context): Promise<void> {
  const { terminal, paths, signal } = context;
  terminal.note(
    `${terminal.paint("yellow", "the podtap daemon ended in the middle")}; waiting for the next\n`,
  );
  const deadline = context.now() + (mayStartDaemon(context) ? KEEPER_MS : OTHERS_MS);
  while (context.now() < deadline && !(await isReady(paths.socket))) {
    signal.throwIfAborted();
    await pause(POLL_MS);
  }
}

/** Is there one more try, of so many in a minute? */
function budget({ now }: Context, most: number): () => boolean {
  let times: readonly number[] = [];
  return () => {
    times = [...times.filter((time) => now() - time < WITHIN_MS), now()];
    return times.length <= most;
  };
}
